from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.unit.checks.endpoints import Endpoint
from tests.unit.fakes import AtOnce, Clock, Ticks
from tracker_service.bootstrap.checks import build_checks_work
from tracker_service.bootstrap.foundation import Foundation
from tracker_service.checks import duties
from tracker_service.checks.check import Check
from tracker_service.checks.grammar import Secrets, check_of
from tracker_service.checks.lookup import CheckPages
from tracker_service.domain.events import Event
from tracker_service.engine.worker import Worker
from tracker_service.metrics import Metrics
from tracker_service.settings import Settings
from tracker_service.settings.checks import ChecksSettings
from tracker_service.store import events
from tracker_service.store.checks import KeptRun
from tracker_service.store.database import Store
from tracker_service.store.events import EventFilter


@pytest.fixture
def endpoint() -> Iterator[Callable[..., Endpoint]]:
    """Starts endpoints, and closes them in the end."""
    opened: list[Endpoint] = []

    def start(*facts: Any, **more: Any) -> Endpoint:
        opened.append(Endpoint(*facts, **more))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def check() -> Callable[..., Check]:
    """Makes checks as a file would."""

    def make(place: str, **keys: Any) -> Check:
        found = check_of(place, {"cron_schedule": "* * * * *", **keys}, 1, Secrets())
        assert found
        return found

    return make


class Checking(Worker):
    """A worker of which the tests know the duties."""

    def do(self, name: str) -> None:
        """Do one of its duties now."""
        [duty] = [duty for duty in self._duties if duty.name == name]
        duty.run(self.leases.held())

    def tend(self) -> None:
        """Claim until nothing is left to claim."""
        self.leases._renewed = float("-inf")
        for _ in range(3):
            self.do("tend")

    def turn(self) -> None:
        """Run what is due, and record it."""
        self.do("check")
        self.do("record_checks")


class Site:
    """Workers with the same files of checks and the same database."""

    def __init__(self, directory: Path, store: Store, now: Clock, ticks: Ticks) -> None:
        self.directory, self.store, self.now, self.ticks = directory, store, now, ticks
        self.key_file = directory / "credentials.key"
        self.files = directory / "checks"
        self.files.mkdir()

    def write(self, text: str, name: str = "a.yml") -> None:
        (self.files / name).write_text(text)
        os.utime(self.files / name, ns=(next(_VERSIONS), next(_VERSIONS)))

    def worker(self, executor: Executor | None = None, **settings: Any) -> Checking:
        """Return a worker that has read the files and claimed its share."""
        chosen = Settings(
            state_dir=self.directory,
            checks=ChecksSettings(directories=(self.files,), **{"spread_s": 0, **settings}),
        )
        base = Foundation(
            settings=chosen,
            metrics=Metrics(),
            store=self.store,
            identities=None,  # type: ignore[arg-type]
            secrets=None,
            clock=self.now,
        )
        work = build_checks_work(base, executor or AtOnce())
        worker = Checking(
            self.store,
            work.kinds,
            work.duties,
            executors=[],
            lease_s=3600,
            clock=self.now,
            busy=lambda: 0.0,
            share_pace=lambda _: None,
        )
        worker.do("enrol_checks")
        worker.tend()
        return worker

    def advance(self, seconds: float) -> None:
        self.now.advance(seconds=seconds)
        self.ticks.now += seconds

    def runs(self, name: str) -> list[KeptRun]:
        """Return all runs of a check, the newest first."""
        return list(CheckPages(self.store).one(name, 1000).runs)

    def state(self, name: str) -> str:
        return CheckPages(self.store).one(name, 0).check.state

    def events(self, *types: str) -> list[Event]:
        with self.store.read() as connection:
            found = events.following(connection, 0, EventFilter(types=types), 1000)
        return [kept.event for kept in found]


_VERSIONS = count(10**18, 10**9)


@pytest.fixture
def site(tmp_path: Path, store: Store, now: Clock, monkeypatch: pytest.MonkeyPatch) -> Site:
    ticks = Ticks()
    monkeypatch.setattr(duties, "time", ticks)
    return Site(tmp_path, store, now, ticks)
