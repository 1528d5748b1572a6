"""Files of checks that cannot be used as they are, and folders that change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tracker_service.checks import files
from tracker_service.checks.files import Directories, ReadFile
from tracker_service.checks.grammar import Secrets

GOOD = "{name}:\n  cron_schedule: '@hourly'\n"


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    return Directories([tmp_path], Secrets())


def write(path: Path, content: bytes | str, version: int = 1) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, ns=(version, version))


def rules(found: list[ReadFile] | None) -> dict[str, str | None]:
    assert found is not None
    return {Path(file.name).name: file.fault.rule if file.fault else None for file in found}


def test_a_file_that_is_no_utf_8_is_refused_and_the_others_are_read(directories, tmp_path):
    write(tmp_path / "a.yml", b"\xff\xfe")
    write(tmp_path / "b.yml", GOOD.format(name="b"))

    assert rules(directories.changed()) == {"a.yml": "file", "b.yml": None}


def test_a_file_that_is_too_long_is_refused_unread(directories, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LARGEST_FILE", 10)
    write(tmp_path / "a.yml", GOOD.format(name="a"))

    assert rules(directories.changed()) == {"a.yml": "size"}


def test_the_second_file_with_a_check_is_refused_with_the_name_of_the_first(directories, tmp_path):
    for name in ("a.yml", "b.yml"):
        write(tmp_path / name, GOOD.format(name="same"))

    found = directories.changed()

    assert rules(found) == {"a.yml": None, "b.yml": "duplicate"}
    assert found
    fault = found[1].fault
    assert fault
    assert fault.message == f"same: {tmp_path}/a.yml has it too; give one of them another name"


@pytest.mark.parametrize("keys", ["  cron_schedule: never\n", "  nothing: 1\n"])
def test_a_fault_does_not_show_the_values_of_a_query(directories, tmp_path, keys):
    write(tmp_path / "a.yml", f"host/x?token=geheim&y:\n{keys}")

    [found] = directories.changed() or []

    assert found.fault
    assert found.fault.message.startswith("host/x?token=***&y: ")


def test_files_of_other_names_and_folders_are_left_out(directories, tmp_path):
    write(tmp_path / "a.yaml", GOOD.format(name="a"))
    write(tmp_path / "b.txt", GOOD.format(name="b"))
    (tmp_path / "c.yml").mkdir()

    assert directories.changed() == []


def test_files_are_given_again_only_when_one_has_changed(directories, tmp_path):
    write(tmp_path / "a.yml", GOOD.format(name="a"))
    assert rules(directories.changed()) == {"a.yml": None}
    assert directories.changed() is None

    write(tmp_path / "a.yml", GOOD.format(name="a"), version=2)
    assert rules(directories.changed()) == {"a.yml": None}

    (tmp_path / "a.yml").unlink()
    assert directories.changed() == []
    assert directories.changed() is None


def test_a_folder_that_has_gone_has_no_checks(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    directories = Directories([gone], Secrets())
    gone.rmdir()

    assert directories.changed() == []
