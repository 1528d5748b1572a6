"""The verbs for checks."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.checks.endpoints import Endpoint, hang, http
from tests.unit.loopback_server import Loopback, Reply
from tracker_service.cli import main

LOGIN = {"TRACKER_USER": "guest", "TRACKER_PASSWORD": "guest-password"}
BARE = "h/health:\n  cron_schedule: */5 * * * *\n"
PAGE = b"""{"checks": [
  {"name": "a", "state": "up", "last-run": "2026", "latency-ms": 5, "error": null},
  {"name": "b", "state": "down", "last-run": null, "latency-ms": null, "error": "\\u001b[31mred"}
], "files": [{"name": "bad.yml", "rule": "cron", "line": 2, "message": "it is none"}]}"""
LAST = b'{"checks": [], "files": []}'


def call(*words: str, **variables: str) -> Result:
    return CliRunner().invoke(main, words, env={**LOGIN, **variables})


def test_lint_names_the_line_and_the_rule(tmp_path: Path):
    file = tmp_path / "a.yml"
    file.write_text(BARE)
    found = call("checks", "lint", str(file))

    assert found.exit_code == 1
    assert f"{file}, line 2: yaml: " in found.stderr


def test_lint_repairs(tmp_path: Path):
    file = tmp_path / "a.yml"
    file.write_text(BARE)
    found = call("checks", "lint", "--fix", str(file))

    assert found.exit_code == 0
    assert found.stdout == 'h/health:\n  cron_schedule: "*/5 * * * *"\n'
    assert found.stderr == f"{file}: 1 checks\n"
    assert file.read_text() == BARE


def test_run_tries_a_check_and_shows_each_step(tmp_path: Path):
    server = Endpoint(http())
    file = tmp_path / "a.yml"
    file.write_text(
        f"{server.authority}/:\n  cron_schedule: '@daily'\n  response_json_values: [status]\n"
    )
    found = call("checks", "run", f"{server.authority}/", "--file", str(file))
    server.close()

    assert found.exit_code == 0
    assert "connect" in found.stdout
    assert "status = 'ok'" in found.stdout
    assert found.stdout.endswith("  ok\n")


def test_run_exits_with_1_if_the_check_fails(tmp_path: Path):
    server = Endpoint(hang)
    directory = tmp_path / "checks"
    directory.mkdir()
    (directory / "a.yml").write_text(
        f"{server.authority}/:\n  cron_schedule: '@daily'\n  timeout: 100ms\n"
    )
    variables = {"TRACKER_CHECKS__DIRECTORIES": f'["{directory}"]'}
    found = call("checks", "run", f"{server.authority}/", **variables)
    server.close()

    assert found.exit_code == 1
    assert "it did not answer in time" in found.stderr


def test_run_says_where_it_has_looked(tmp_path: Path):
    found = call("checks", "run", "none")
    assert found.exit_code == 1
    assert "none: no file has this check; looked at 0 files" in found.stderr


@pytest.mark.parametrize(("more", "names"), [((), "ab"), (("--down",), "b")])
def test_list_shows_states_and_bad_files(loopback: Loopback, more: tuple[str, ...], names: str):
    loopback.says(Reply(body=PAGE), Reply(body=LAST))
    found = call("checks", "list", *more, TRACKER_URL=loopback.origin)

    assert found.exit_code == 0
    rows = [line.split()[0] for line in found.stdout.splitlines()[1:] if line.strip("- ")]
    assert "".join(rows) == names
    assert "\x1b" not in found.stdout
    assert "bad.yml, line 2: cron: it is none" in found.stderr
