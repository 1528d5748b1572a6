"""Names of users, and paths of their homes, become parts of the documents of a copy workflow."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.unit.fakes import APP_1, FakeAccess, FakeHdfs, FakeOozie, FakeYarn, a_copy, job
from tracker_service.archive.copying.workflow_copy import (
    WorkflowOptions,
    find,
    script,
    submit,
    workflow,
)
from tracker_service.domain.copies import Copy, log_path, part_path

OPTIONS = WorkflowOptions(name_node="nn", resource_manager="rm", queue=None, properties={})
ODD = [
    "svc_etl$",
    "a&b<c>",
    "EXAMPLE\\alice",
    "alice smith",
    "alice@example.com",
    "a+b",
    "a%20b",
    'o\'neil "x"',
    "$(id)`id`",
    "álvaro",
    "王",
]


def copy_of(name: str, home: str | None = None) -> Copy:
    path = log_path(name, job(1), APP_1)
    if home:
        path = path.replace(f"/user/{name}", home)
    return a_copy(owner=name, path=path, attempt=1)


def arguments_of(copy: Copy, log_owner: str) -> list[str]:
    """Return the arguments of the script, as Oozie reads them from the document."""
    document = ET.fromstring(workflow(copy, log_owner, OPTIONS))
    return [str(each.text) for each in document.iter() if each.tag.endswith("argument")]


def as_hdfs_reads(pattern: str) -> str:
    """Return the path that a pattern means, if it means one only."""
    path, characters = "", iter(pattern)
    for char in characters:
        assert char not in "*?[]{}", "it means several"
        path += next(characters) if char == "\\" else char
    return path


@pytest.mark.parametrize("name", ODD)
def test_the_script_gets_each_name_and_path_as_it_is(name):
    copy = copy_of(name)

    application, owner, part, reason = arguments_of(copy, name)

    assert (application, owner) == (copy.application, name)
    assert as_hdfs_reads(part) == part_path(copy)
    assert as_hdfs_reads(reason).startswith(f"/user/{name}/WORK/logs/.tracker/")


@pytest.mark.parametrize("home", ["/home/[it]/x", "/data/{a,b}/x", "/a?b*c", "/${wf:user()}/x"])
def test_a_home_is_neither_a_pattern_nor_an_expression(home):
    copy = copy_of("x", home)

    _, _, part, reason = arguments_of(copy, "x")

    assert as_hdfs_reads(part) == part_path(copy)
    assert as_hdfs_reads(reason).startswith(f"{home}/WORK/logs/.tracker/")
    assert "${" not in part + reason


def test_the_owner_of_a_log_is_no_expression():
    """YARN says who it is; nobody has looked at that name."""
    _, owner, *_ = arguments_of(copy_of("x"), "${wf:conf('password')}")

    assert owner == "${'$'}{wf:conf('password')}"


@pytest.mark.parametrize("name", ODD)
def test_a_workflow_is_submitted_and_found_again_for_any_name(name):
    copy = replace(copy_of(name), id="c0ffee0123456789")
    access = FakeAccess(FakeOozie(), FakeYarn(), FakeHdfs(name))

    submit(access, copy, name, OPTIONS)

    [document] = access.oozie.submitted
    found = {p.findtext("name"): p.findtext("value") for p in ET.fromstring(document)}
    assert found["user.name"] == name
    directory = found["oozie.wf.application.path"]
    assert directory == f"/user/{name}/WORK/logs/.tracker/{copy.id}/1"
    assert {f"{directory}/workflow.xml", f"{directory}/copy-log.sh"} <= set(access.hdfs.files)
    assert find(access, replace(copy, owner="somebody else")) is None


@pytest.mark.parametrize("name", ODD)
def test_the_shell_reads_nothing_in_a_name(tmp_path: Path, name: str):
    for command in ("yarn", "hdfs"):
        write_command(tmp_path, command)
    file = tmp_path / "copy-log.sh"
    file.write_bytes(script())
    arguments = arguments_of(copy_of(name), name)

    done = subprocess.run(
        ["bash", str(file), *arguments],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "SEEN": str(tmp_path), "LANG": "C.UTF-8"},
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert seen_by(tmp_path, "yarn")[-1] == name
    assert seen_by(tmp_path, "hdfs")[-1] == arguments[2]


def write_command(directory: Path, name: str) -> None:
    """Put a command in place that notes its arguments, and passes a text on."""
    command = directory / name
    passes = "cat > /dev/null" if name == "hdfs" else "echo text"
    command.write_text(f'#!/bin/bash\nprintf "%s\\0" "$@" > "$SEEN/{name}.seen"\n{passes}\n')
    command.chmod(0o755)


def seen_by(directory: Path, name: str) -> Sequence[str]:
    return (directory / f"{name}.seen").read_text().rstrip("\0").split("\0")
