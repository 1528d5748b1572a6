"""Logs, patterns and answers that ask for much: each ends after little computing."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable
from threading import Event

import pytest

from tests.profiles import IS_LONG
from tests.unit.fakes import job
from tests.unit.log_files import APP, MARKER, NODE, Disk, bcfile, index, trailer, utf, vint
from tracker_service.archive.formats.node_logs import logs_of
from tracker_service.archive.formats.yarn_text import as_text
from tracker_service.domain.work_budget import LOG_PARTS, WorkBudget
from tracker_service.errors import LogFileBroken, TooMuchWork, WorkerStops
from tracker_service.sources.oozie import _action, _of_a_job

MOST_PARTS = 1_000_000  #: of a file; each costs some 4 µs, in a packed record 10 µs
MOST_UNPACKED = 300_000_000  #: bytes; 100 million cost 0.05 s
IF_LONG = pytest.mark.skipif(not IS_LONG, reason="before a release: TESTS_PROFILE=long")
CONTAINER = f"container_{APP[12:]}_01_000001"
ENDLESS = vint(-(1 << 40))


def _packed(unit: bytes, count: int, head: bytes) -> bytes:
    """Pack what is many times as long; how long that takes is the attacker's affair."""
    deflater = zlib.compressobj(1)
    block = unit * (1_000_000 // len(unit))
    parts = [deflater.compress(head)]
    parts += [deflater.compress(block) for _ in range(count * len(unit) // len(block))]
    return b"".join((*parts, deflater.flush()))


def _record(unit: bytes, count: int, *, key: str = CONTAINER, head: bytes = ENDLESS) -> bytes:
    name = utf(key)
    return bcfile([_packed(unit, count, vint(len(name)) + name + head)], algorithm="gz")


def _references(name: str, count: int) -> bytes:
    log = (CONTAINER, name, (0, 0, 1795323187948, 32))
    return MARKER + trailer(index([[(CONTAINER, [log] * count)]]))


SCALE = 1 if IS_LONG else 16
BOMBS: dict[str, Callable[[], bytes]] = {
    "millions of empty logs": lambda: _record(utf("") + utf("0"), 50_000_000 // SCALE),
    "2 GB of one log in 2 MB": lambda: _record(
        bytes(1000), 2_000_000 // SCALE, head=ENDLESS + utf("stdout") + utf(str(1 << 40))
    ),
    "2 GB that are skipped": lambda: _record(bytes(1000), 2_000_000 // SCALE, key="VERSION"),
    "millions of chunks": lambda: _record(vint(-1) + b"x", 30_000_000 // SCALE, head=b""),
    "millions of records": lambda: _record(
        vint(2) + utf("") + vint(0), 30_000_000 // SCALE, head=vint(0)
    ),
    "30,000 references to a name of 65 kB": lambda: _references("n" * 65_000, 30_000 // SCALE),
    "99,000 logs in an index": lambda: _references("n" * 255, 99_000),
}


def _unpack(data: bytes, budget: WorkBudget) -> int:
    return sum(map(len, as_text(NODE, logs_of(Disk(data).file(budget=budget)))))


def _names(cases: Iterable[str], *long_ones: str):
    return [pytest.param(name, marks=[IF_LONG] * (name in long_ones)) for name in cases]


@pytest.mark.parametrize("name", _names(BOMBS, "99,000 logs in an index"))
def test_a_bomb_ends_soon(row, name):
    data, budget = BOMBS[name](), WorkBudget()
    began = time.thread_time()

    with pytest.raises(LogFileBroken):
        _unpack(data, budget)

    spent_s = time.thread_time() - began
    row("bombs", f"{name} ({len(data) / 1e6:.1f} MB)", f"{spent_s:.1f} s of CPU")
    assert budget.parts <= MOST_PARTS
    assert budget.unpacked <= MOST_UNPACKED


def test_a_bomb_ends_at_once_when_the_worker_stops():
    stopping = Event()
    stopping.set()

    with pytest.raises(WorkerStops):
        _unpack(_record(utf("") + utf("0"), 1_000_000), WorkBudget(stopping=stopping))


@pytest.mark.parametrize(
    ("charge", "most"),
    [(WorkBudget.charge_unpacked, 97 * 1024**2), (WorkBudget.charge_written, 21 * 1024**3)],
)
def test_a_budget_has_an_end(charge, most):
    with pytest.raises(TooMuchWork):
        charge(WorkBudget(), most)


def test_a_budget_grows_with_what_is_read():
    budget = WorkBudget()
    budget.charge_read(64 * 1024**2)

    for _ in range(100_000):
        budget.charge_parts(LOG_PARTS)
    budget.charge_unpacked(1024**3)


def test_an_action_has_at_most_a_thousand_applications(row):
    ids = ",".join(f"application_1795323187948_{n:06d}" for n in range(100_000))
    answer = {"id": f"{job(1)}@a", "name": "a", "externalChildIDs": ids, "errorMessage": "JA018"}

    read = _action(answer, str)

    assert (read.child_ids or "").count("application_") == 1000
    assert read.error_message == "JA018 (and 99000 more applications, which are not followed)"
    row("bombs", "an action with 100,000 applications", "1,000 are followed, the rest is counted")


def test_a_job_has_at_most_ten_thousand_applications_whatever_its_actions_print():
    ids = ",".join(f"application_1795323187948_{n:06d}" for n in range(900))
    answers = [{"id": f"{job(1)}@{n}", "name": "a", "externalChildIDs": ids} for n in range(30)]

    read = list(_of_a_job(_action(answer, str) for answer in answers))

    assert sum((action.child_ids or "").count("application_") for action in read) == 10_000
    assert read[-1].error_message == "(and 900 more applications, which are not followed)"
