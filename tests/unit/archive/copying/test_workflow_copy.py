from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.unit.fakes import APP_1, a_copy
from tracker_service.archive.copying import workflow_copy
from tracker_service.archive.copying.workflow_copy import WorkflowOptions, configuration
from tracker_service.domain.copies import part_path

OPTIONS = WorkflowOptions(
    name_node="hdfs://namenode", resource_manager="rm", queue=None, properties={}
)
SHELL = "{uri:oozie:shell-action:0.3}"
HOSTILE = '</value></property>&<x a="\'">]]>'


def shell_of(**options) -> ET.Element:
    made = workflow_copy.workflow(a_copy(attempt=1), "guest", replace(OPTIONS, **options))
    [shell] = ET.fromstring(made).iterfind(f".//{SHELL}shell")
    return shell


def properties_of(shell: ET.Element) -> dict[str | None, str | None]:
    found = shell.findall(f"{SHELL}configuration/{SHELL}property")
    return {each.findtext(f"{SHELL}name"): each.findtext(f"{SHELL}value") for each in found}


def test_the_workflow_runs_the_script_on_the_application():
    shell = shell_of()

    assert shell.findtext(f"{SHELL}exec") == "copy-log.sh"
    assert shell.findtext(f"{SHELL}file") == "copy-log.sh"
    assert [each.text for each in shell.findall(f"{SHELL}argument")] == [
        APP_1,
        "guest",
        part_path(a_copy(attempt=1)),
        "/user/guest/WORK/logs/.tracker/c0ffee/1/reason",
    ]


def test_without_properties_there_is_no_empty_configuration():
    assert shell_of().find(f"{SHELL}configuration") is None


def test_the_queue_is_set_for_both_releases_of_oozie():
    assert properties_of(shell_of(queue="logs")) == {
        "oozie.launcher.queue": "logs",
        "oozie.launcher.mapred.job.queue.name": "logs",
    }


def test_the_properties_of_the_site_appear_and_win():
    given = {"oozie.launcher.queue": "other", "a.b": "c"}

    assert properties_of(shell_of(queue="logs", properties=given)) == {
        "oozie.launcher.queue": "other",
        "oozie.launcher.mapred.job.queue.name": "logs",
        "a.b": "c",
    }


def test_hostile_values_stay_values():
    shell = shell_of(queue=HOSTILE, properties={HOSTILE: HOSTILE})

    assert properties_of(shell)[HOSTILE] == HOSTILE
    assert properties_of(shell)["oozie.launcher.queue"] == HOSTILE


def test_a_hostile_owner_stays_one_argument():
    made = workflow_copy.workflow(a_copy(attempt=1), HOSTILE, OPTIONS)

    arguments = ET.fromstring(made).findall(f".//{SHELL}argument")
    assert [each.text for each in arguments][1] == HOSTILE
    assert len(arguments) == 4


def test_the_elements_stand_in_the_order_that_the_schema_wants():
    tags = [each.tag.removeprefix(SHELL) for each in shell_of(queue="logs")]

    assert tags == ["job-tracker", "name-node", "configuration", "exec", *["argument"] * 4, "file"]


def test_a_submission_keeps_hostile_values_in_their_property():
    made = ET.fromstring(configuration({"user.name": HOSTILE, "nameNode": "hdfs://x"}))

    assert made.tag == "configuration"
    assert [(p.findtext("name"), p.findtext("value")) for p in made] == [
        ("user.name", HOSTILE),
        ("nameNode", "hdfs://x"),
    ]


def test_no_two_tries_share_a_file_or_a_name():
    tries = [a_copy(attempt=1), a_copy(attempt=2), a_copy(id="other", attempt=1)]

    names = {ET.fromstring(workflow_copy.workflow(c, "guest", OPTIONS)).get("name") for c in tries}

    assert len({part_path(each) for each in tries}) == 3
    assert len(names) == 3


def test_no_part_has_the_name_of_a_log():
    assert not part_path(a_copy(attempt=1)).endswith(".log")


@pytest.fixture
def cluster_node(tmp_path):
    """A machine with `yarn` and `hdfs`, whose HDFS is a directory."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "hdfs").mkdir()
    (tmp_path / "tmp").mkdir()
    return tmp_path


def install(node: Path, name: str, script: str) -> None:
    command = node / "bin" / name
    command.write_text(f"#!/bin/bash\n{script}\n")
    command.chmod(0o755)


YARN = 'echo "$@" >"$NODE/yarn-arguments"; printf "line 1\\nline 2\\n"'
HDFS = """
echo "$@" >>"$NODE/hdfs-arguments"
[[ ${@: -2:1} == - ]] || exit 9
cat >"$NODE/hdfs/$(basename "${@: -1}")"
"""


def run_script(node: Path, owner: str = "guest") -> subprocess.CompletedProcess[str]:
    script = node / "copy-log.sh"
    script.write_bytes(workflow_copy.script())
    path = f"{node}/bin:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", script, APP_1, owner, "/logs/x.part", "/logs/reason-1"],
        env={"PATH": path, "NODE": str(node), "TMPDIR": str(node / "tmp")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_puts_the_whole_log_into_the_part(cluster_node):
    install(cluster_node, "yarn", YARN)
    install(cluster_node, "hdfs", HDFS)

    done = run_script(cluster_node)

    assert done.returncode == 0
    assert (cluster_node / "hdfs/x.part").read_text() == "line 1\nline 2\n"
    assert not (cluster_node / "hdfs/reason-1").exists()
    assert (cluster_node / "yarn-arguments").read_text().split() == [
        "logs",
        "-applicationId",
        APP_1,
        "-appOwner",
        "guest",
    ]
    assert "umask-mode=077" in (cluster_node / "hdfs-arguments").read_text()


def test_the_script_passes_bytes_that_are_no_text(cluster_node):
    install(cluster_node, "yarn", r"printf '\xff\x00\xfe'")
    install(cluster_node, "hdfs", HDFS)

    assert run_script(cluster_node).returncode == 0
    assert (cluster_node / "hdfs/x.part").read_bytes() == b"\xff\x00\xfe"


def test_a_log_that_breaks_off_is_a_failure_with_a_reason(cluster_node):
    install(cluster_node, "yarn", f"{YARN}; echo 'Can not find any log file' >&2; exit 255")
    install(cluster_node, "hdfs", HDFS)

    done = run_script(cluster_node)

    assert done.returncode == 1
    assert "Can not find any log file" in (cluster_node / "hdfs/reason-1").read_text()
    assert "Can not find any log file" in done.stderr


def test_a_put_that_fails_is_a_failure(cluster_node):
    install(cluster_node, "yarn", YARN)
    install(cluster_node, "hdfs", "cat >/dev/null; echo 'put: Permission denied' >&2; exit 1")

    done = run_script(cluster_node)

    assert done.returncode == 1
    assert "Permission denied" in done.stderr


def test_commands_that_are_missing_are_a_failure(cluster_node):
    assert run_script(cluster_node).returncode == 1


def test_the_reason_of_a_failure_is_short(cluster_node):
    install(cluster_node, "yarn", "seq 1000 >&2; exit 1")
    install(cluster_node, "hdfs", HDFS)

    run_script(cluster_node)

    reason = (cluster_node / "hdfs/reason-1").read_text().split()
    assert reason == [str(number) for number in range(981, 1001)]


def test_the_script_leaves_nothing_behind_on_the_node(cluster_node):
    install(cluster_node, "yarn", f"{YARN}; exit 1")
    install(cluster_node, "hdfs", HDFS)

    run_script(cluster_node)

    assert list((cluster_node / "tmp").iterdir()) == []


def test_an_owner_is_no_command(cluster_node):
    install(cluster_node, "yarn", YARN)
    install(cluster_node, "hdfs", HDFS)

    run_script(cluster_node, owner="$(touch $NODE/pwned); x")

    assert not (cluster_node / "pwned").exists()
    assert "$(touch $NODE/pwned); x" in (cluster_node / "yarn-arguments").read_text()
