"""Logs that HDFS does not take: that can be mended, as long as the cluster keeps the log."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select

from tests.unit.archive.copying.test_direct_way import APP, TEXT, Copying, copying, copying_with
from tests.unit.fakes import NOW, FakeHdfs, action, details
from tracker_service.domain.copies import Copy, Strategy, part_path, working_directory
from tracker_service.errors import AccessDenied, GatewayUnavailable, RequestRefused
from tracker_service.store import copies, tables

pytestmark = pytest.mark.slow

__all__ = ["copying", "copying_with"]  # fixtures

REFUSALS = [
    RequestRefused("The NameSpace quota (directories and files) of /user/guest is exceeded"),
    AccessDenied("Permission denied: user=guest, access=WRITE"),
]
WAYS = [Strategy.AUTO, Strategy.DIRECT, Strategy.WORKFLOW]


def refuse(copying: Copying, trouble: Exception) -> None:
    """Make HDFS refuse everything in the user's directory."""
    copy = copying.copy()
    for path in (
        copy.directory,
        *(f"{working_directory('guest', copy.id)}/{n}" for n in range(99)),
    ):
        copying.home.troubles[path] = trouble


@pytest.fixture(params=WAYS)
def refused(copying_with, request) -> Copying:
    copying = copying_with(request.param)
    copying.want(APP)
    copying.lies_there()
    refuse(copying, REFUSALS[0])
    copying.advance()
    return copying


def run_for(copying: Copying, hours: float) -> list[Copy]:
    """Look whenever the copy is due; return the copy as it was after each new try."""
    tries, end = [copying.copy()], copying.clock() + timedelta(hours=hours)
    while not copying.copy().status.is_finished and copying.clock() < end:
        copying.advance((due_at(copying) - copying.clock()).total_seconds())
        if copying.copy().attempt > tries[-1].attempt:
            tries.append(copying.copy())
    return tries


def due_at(copying: Copying) -> datetime:
    with copying.store.read() as connection:
        at: datetime = connection.execute(select(tables.copies.c.due_at)).scalar_one()
    return max(at, copying.clock() + timedelta(seconds=1))


@pytest.mark.parametrize("trouble", REFUSALS)
@pytest.mark.parametrize("strategy", WAYS)
def test_a_log_that_hdfs_does_not_take_waits_visibly_and_is_not_lost(
    copying_with, strategy, trouble
):
    copying = copying_with(strategy)
    copying.want(APP)
    copying.lies_there()
    refuse(copying, trouble)

    run_for(copying, 3)

    copy = copying.copy()
    assert (copy.status, copy.completeness, copy.failures) == ("WAITING", None, 0)
    assert str(trouble) in copy.reason
    assert "the next is at 2026-11-22 0" in copy.reason
    assert copying.cluster.oozie.submitted == []


def test_the_pauses_grow_up_to_an_hour(refused):
    tries = run_for(refused, 10)

    begun = [copy.started_at for copy in tries if copy.started_at]
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(hours=1)
    assert len(tries) < 50


def test_once_it_is_mended_the_log_is_saved(copying):
    copying.want(APP)
    copying.lies_there()
    refuse(copying, REFUSALS[0])
    run_for(copying, 12)

    copying.home.troubles.clear()
    run_for(copying, 1)

    assert copying.home.files[copying.copy().path] == TEXT
    assert copying.copy().completeness == "COMPLETE"


def test_who_asks_for_the_log_has_it_tried_at_once(copying, store):
    copying.want(APP)
    copying.lies_there()
    refuse(copying, REFUSALS[0])
    run_for(copying, 12)
    copying.home.troubles.clear()
    with store.begin() as connection:
        copies.restart(connection, [copying.copy().task_id], copying.clock(), refresh=False)

    copying.advance()

    assert copying.copy().status == "SUCCEEDED"


def test_when_the_cluster_has_deleted_the_log_it_is_lost_and_says_why(refused):
    source = next(path for path in refused.home.files if path.startswith("/app-logs"))
    del refused.home.files[source]

    refused.advance(7 * 86_400 + 3600)

    copy = refused.copy()
    assert (copy.status, copy.completeness) == ("FAILED", "LOST")
    assert "the cluster has deleted the log" in copy.reason
    assert "NameSpace quota" in copy.reason


def test_a_log_that_is_deleted_before_its_time_is_lost_at_once(copying_with):
    copying = copying_with()
    copying.want(APP)
    source = copying.lies_there()
    refuse(copying, REFUSALS[0])
    copying.advance()
    del copying.home.files[source]

    copying.advance(3600)

    assert (copying.copy().status, copying.copy().completeness) == ("FAILED", "LOST")


@pytest.mark.parametrize("where", ["part", "rename"])
def test_a_refusal_at_the_end_of_a_copy_is_no_failure_either(copying, monkeypatch, where):
    copying.want(APP)
    copying.lies_there()
    name = {"part": "write_pieces", "rename": "rename"}[where]

    def no(home: FakeHdfs, *_: object) -> None:
        raise REFUSALS[0]

    monkeypatch.setattr(FakeHdfs, name, no)

    for _ in range(9):
        copying.advance(3600)

    assert (copying.copy().status, copying.copy().failures) == ("WAITING", 0)


def test_a_workflow_that_could_not_write_was_refused_whatever_it_says(copying_with, monkeypatch):
    copying = copying_with(Strategy.WORKFLOW)
    copying.want(APP)
    copying.lies_there()
    copying.advance()
    killed = action(copying.copy().job, "copy", status="ERROR", error_message="exit 1")
    copying.cluster.oozie.has(details(copying.copy().job, "KILLED", killed))

    def no(home: FakeHdfs, path: str, *_: object) -> None:
        assert path == part_path(copying.copy())
        raise REFUSALS[0]

    monkeypatch.setattr(FakeHdfs, "write", no)
    copying.advance(1)

    assert (copying.copy().status, copying.copy().failures) == ("WAITING", 0)
    assert "NameSpace quota" in copying.copy().reason


@pytest.mark.parametrize("where", ["make_directory", "read_range", "write_pieces", "rename"])
def test_while_the_cluster_does_not_answer_the_looks_become_rarer(copying, monkeypatch, where):
    copying.want(APP)
    copying.lies_there()
    looks = []

    def away(*_: object) -> None:
        looks.append(copying.clock())
        raise GatewayUnavailable("answered 500")

    monkeypatch.setattr(FakeHdfs, where, away)

    for _ in range(300):
        copying.advance(1)

    pauses = [later - earlier for earlier, later in pairwise(looks)]
    assert len(looks) < 20
    assert pauses[0] < timedelta(seconds=15)
    assert pauses[-1] >= timedelta(seconds=60)
    assert looks[0] > NOW
