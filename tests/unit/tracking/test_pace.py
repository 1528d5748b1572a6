"""Every request of the background to Oozie and YARN keeps to the rate that a site allows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.fakes import (
    APP_1,
    NOW,
    AtOnce,
    FakeAccess,
    FakeHdfs,
    FakeOozie,
    FakeYarn,
    action,
    details,
    job,
    sub_workflow,
)
from tracker_service.engine.slots import Slots
from tracker_service.sources.credentials import BasicCredential
from tracker_service.store import jobs, track_tasks
from tracker_service.tracking.explorer import explore
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.reruns import Reruns


class Paces:
    """Counts the requests that waited for their turn."""

    def __init__(self) -> None:
        self.waited = 0

    def __call__(self) -> None:
        self.waited += 1


@pytest.fixture
def paces() -> Paces:
    return Paces()


def counting(method: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def call(*args: object, **named: object) -> object:
        calls.append(method.__name__)
        return method(*args, **named)

    return call


def watch(monkeypatch: pytest.MonkeyPatch, oozie: FakeOozie, yarn: FakeYarn) -> list[str]:
    """Return the list to which each request will add its name."""
    calls: list[str] = []
    for name in ("chunk", "details", "children", "earlier_tries"):
        monkeypatch.setattr(oozie, name, counting(getattr(oozie, name), calls))
    monkeypatch.setattr(yarn, "tagged", counting(yarn.tagged, calls))
    return calls


def test_a_search_waits_before_each_request(paces, monkeypatch):
    oozie, yarn = FakeOozie(), FakeYarn()
    oozie.has(
        details(
            job(1),
            "KILLED",
            action(job(1), "work", APP_1, retry_count=1),
            sub_workflow(job(1), "call", job(2)),
        ),
        details(job(2), "KILLED"),
    )
    calls = watch(monkeypatch, oozie, yarn)

    explore(FakeAccess(oozie, yarn, FakeHdfs()), job(1), pace=paces)

    assert calls == ["details", "details", "earlier_tries", "tagged"]
    assert paces.waited == len(calls)


def test_the_poller_waits_before_each_request_also_for_children(
    following, store, identities, fake_cluster, now, paces, monkeypatch
):
    daily = job(1, "C")
    fake_cluster.oozie.has(details(daily), details(job(11)), details(job(2)))
    fake_cluster.oozie.started[daily] = [job(11), job(12)]
    executors = (AtOnce(), AtOnce())
    following.poller = Poller(
        store, identities, following.schedule, executors, now, Slots(8, paces)
    )
    calls = watch(monkeypatch, fake_cluster.oozie, fake_cluster.yarn)
    following.track_jobs(daily, job(2))

    following.look()

    assert {"chunk", "children", "details"} <= set(calls)
    assert paces.waited == len(calls)


def test_the_look_for_reruns_waits_before_each_request(
    store, identities, fake_cluster, now, paces, monkeypatch, following
):
    reruns = Reruns(
        store, identities, AtOnce(), now, every_s=1, watched_for=timedelta(days=1), pace=paces
    )
    following.track(2)
    caller = identities.verify(BasicCredential("guest", "guest-password"))
    with store.begin() as connection:
        kept = jobs.record(connection, [details(job(1), "KILLED").observation])
        track_tasks.add_ended(connection, caller.name, list(kept.values()), NOW)
    calls = watch(monkeypatch, fake_cluster.oozie, fake_cluster.yarn)

    reruns.look([task.lease for task in following.tasks()])

    assert calls == ["chunk"]
    assert paces.waited == 1
