"""The verbs for ledgers, with a client that a service answers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.ledger.conftest import SOURCES, ledger_job
from tests.unit.loopback_server import Reply
from tracker_service.cli import main
from tracker_service.ledger.writers import hash_of
from tracker_service.store.database import Store

KEY = ledger_job().key
LOGIN = {"TRACKER_USER": "guest", "TRACKER_PASSWORD": "guest-password"}
ROW = {
    "id": KEY,
    "experiment": "ndt",
    "datatype": "ndt7",
    "date": "2024-01-02T00:00:00+00:00",
    "state": "failed",
    "label": "loading-failed",
    "detail": "loading: no room",
    "error": "loading: no room",
    "started": "2026-11-22T05:00:00.000+00:00",
    "state-since": "2026-11-22T05:00:00.000+00:00",
    "updated": "2026-11-22T05:00:00.000+00:00",
    "heartbeat": None,
    "elapsed-s": 0,
    "updates": 1,
    "run": 0,
}
WHOLE = ROW | {
    "history": [{"number": 9, "run": 0, "state": "init", "at": "2026", "detail": "\x1b[31mred"}],
    "left-out": 8,
}


def tracker(*words: str, **environment: str):
    return CliRunner().invoke(main, ["ledger", *words], env=LOGIN | environment)


def answer(loopback, body: object) -> dict[str, str]:
    text = json.dumps(body).encode()
    loopback.says(Reply(200, text, {"Content-Type": "application/json"}))
    return {"TRACKER_URL": loopback.origin}


def test_jobs_are_listed(loopback):
    done = tracker("jobs", "--state", "failed", **answer(loopback, [ROW]))

    assert done.exit_code == 0, done.output
    assert re.search(rf"{KEY} +loading-failed +1 .*loading: no room", done.stdout)
    [asked] = loopback.asked
    assert asked.query == {"ledger": "default", "state": "failed"}


def test_a_job_is_shown_with_its_history_and_nothing_that_controls_a_terminal(loopback):
    done = tracker("show", KEY, **answer(loopback, WHOLE))

    assert done.exit_code == 0, done.output
    assert f"{KEY} is failed" in done.stdout
    assert "the oldest 8 rows of its history are not kept" in done.stdout
    assert "?[31mred" in done.stdout
    assert loopback.asked[0].path.endswith(f"/api/ledger/jobs/{KEY}")


def test_a_job_is_retried(loopback):
    done = tracker("retry", KEY, "--output", "json", **answer(loopback, WHOLE))

    assert json.loads(done.stdout)["id"] == KEY
    assert loopback.asked[0].method == "POST"
    assert loopback.asked[0].path.endswith(f"{KEY}/retry")


def test_a_key_is_printed_with_its_entry():
    done = tracker("key", "parser")

    [secret] = re.findall(r"^key: (\S+)$", done.stdout, re.M)
    assert f"{{name: parser, sha256: {hash_of(secret)}}}" in done.stdout
    assert f"http://parser:{secret}@" in done.stdout


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRACKER_STATE_DIR", str(tmp_path))
    (tmp_path / "sources.yml").write_text(SOURCES)
    return tmp_path


SAVED = (
    '{"SaveTime":"2026-11-22T05:00:00Z","Statuses":{"lab/ndt/ndt7/20240102":{"HeartbeatTime":'
    '"0001-01-01T00:00:00Z","UpdateCount":0,"History":[{"State":"init","Start":'
    '"2024-01-03T00:00:00Z","DetailTime":"2024-01-03T00:00:00Z","Detail":""}]}},"Jobs":'
    '{"lab/ndt/ndt7/20240102":{"Bucket":"lab","Experiment":"ndt","Datatype":"ndt7","Date":'
    '"2024-01-02T00:00:00Z","Datasets":{"Tmp":"t","Raw":"r","Join":""}}}}'
)


def test_a_saved_state_is_imported_and_exported(home):
    (home / "state.json").write_text(SAVED)
    (home / "daily").write_text('{"Date":"2026-11-19T00:00:00Z"}')

    done = tracker(
        "import",
        f"{home}/state.json",
        "--daily",
        f"{home}/daily",
        TRACKER_LEDGER__CONFIG=f"{home}/sources.yml",
    )
    again = tracker("import", f"{home}/state.json")
    exported = tracker("export")

    assert done.exit_code == 0, done.output
    assert "added 1 jobs" in done.stderr
    assert again.exit_code == 1
    assert "already" in again.output
    assert json.loads(exported.stdout)["Jobs"] == json.loads(SAVED)["Jobs"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export", "--ledger", "other"), "there is no ledger other; there are default"),
        (("import", "{home}/none"), "does not exist"),
        (("import", "{home}/broken"), "broken: this is no JSON"),
        (("import", "{home}/empty", "--daily", "{home}/empty"), "has no sources"),
    ],
)
def test_what_cannot_be_moved_is_told_in_one_line(home, words, message):
    (home / "broken").write_text("{")
    (home / "empty").write_text("{}")
    Store(f"sqlite:///{home}/tracker.db").upgrade()

    done = tracker(*(word.format(home=home) for word in words))

    assert done.exit_code != 0
    assert message in done.output
