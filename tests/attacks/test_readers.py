"""Readers whose patterns, or whose own logs, ask for much: each answer ends, and says where."""

from __future__ import annotations

import json
import random
import time
from threading import Event

import pytest

from tests.profiles import IS_LONG
from tests.unit.calls import get, post, save_copies
from tests.unit.fakes import APP_1, job
from tests.unit.saved_logs import a_file
from tracker_service.api import read_budgets
from tracker_service.domain.copies import CopyStatus

MOST_CPU_S = 5.0
LOG = f"/api/job/{job(1)}/logs/{APP_1[12:]}"
PATH = f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log"
LETTERS = bytes(random.Random(1).choices(b"abcdefghijklmnop qrst uvwxyz", k=64 << 10))
FILES = a_file("container_1_01", "f", b"")
LINES = a_file("container_1_01", "f", b"\n" * (1 << (20 if IS_LONG else 18)))
TEXT = a_file("container_1_01", "f", LETTERS * (16 if IS_LONG else 2))

READINGS = {
    "a pattern of 990 characters": ("?grep=[a-z].{990}Z%3F[0-9]", TEXT),
    "a pattern with too many steps": ("?grep=[a-m][a-z ]{700}|[n-z][a-z ]{700}", TEXT),
    "a pattern that is large enough": ("?grep=[a-m][a-z ]{350}[0-9]", TEXT),
    "empty lines with 50 around each": ("?grep=^&context=50&limit=100000", LINES),
    "empty lines as JSON": ("?format=json", LINES),
    "the last of many files": ("?tail=100000&format=json", FILES * 4000),
    "the list of many files": ("/files", FILES * 4000),
    "one of many files": ("?file=none", FILES * 4000),
}


@pytest.fixture
def log(client, oozie, store, fake_cluster):
    """Tell guest's saved log to be something else."""
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED)

    def is_now(text: bytes) -> None:
        fake_cluster.homes["guest"].files[PATH] = text

    return is_now


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(not IS_LONG, reason="takes seconds"))
        if name == "a pattern that is large enough"
        else name
        for name in READINGS
    ],
)
def test_a_reading_ends_soon_and_says_where(client, log, row, monkeypatch, name):
    query, text = READINGS[name]
    log(text * (16 if IS_LONG else 1))
    if not IS_LONG:
        monkeypatch.setattr(read_budgets, "_OF_SEARCHES", (0.01, 0.01, 600.0))
        monkeypatch.setattr(read_budgets, "_OF_PARTS", (0.01, 0.01, 600.0))
    began = time.thread_time()

    answer = get(client, LOG + query)

    spent_s = time.thread_time() - began
    said = answer.text.splitlines()[-1]
    row("readers", name, f"{spent_s:.1f} s of CPU, {answer.status_code}, {len(answer.data)} bytes")
    if IS_LONG:  # `make attack` measures; its machine is quiet
        assert spent_s < MOST_CPU_S
    else:
        stopped = "stopped_at" in said or said.startswith("-- The search stopped at byte ")
        assert stopped or answer.status_code in (400, 422)


def test_the_place_where_a_reading_stopped_is_where_to_go_on(client, log, monkeypatch):
    log(a_file("container_1_01", "f", b"12345678\n" * 30_000))
    monkeypatch.setattr(read_budgets, "_OF_PARTS", (0.05, 0.0, 600.0))

    *lines, end = map(json.loads, get(client, f"{LOG}?format=json").text.splitlines())

    assert end["reason"] == "it takes more than 0 s of computing"
    assert end["stopped_at"] == lines[0]["offset"] + len(lines) * 9 - 1


@pytest.mark.parametrize("query", ["?grep=x", "?format=json", "?lines=5", "/files"])
def test_a_reading_ends_when_the_process_stops(client, log, query):
    log(FILES)
    stopping = Event()
    stopping.set()

    answer = get(client, LOG + query, environ_overrides={read_budgets.STOPPING: stopping})

    assert answer.status_code == 503
    assert "this process stops" in answer.text


def test_usual_readings_have_no_end_before_that_of_the_log(client, log):
    log(a_file("container_1_01", "stderr", b"INFO all is well\n" * 5_000 + b"ERROR 7\n"))

    assert get(client, f"{LOG}?grep=ERROR [0-9]&context=5").text.count("\n") == 6
    assert json.loads(get(client, f"{LOG}?format=json").text.splitlines()[-1]) == {"end": True}
