"""The driver: starts all processes, kills them at random and at each step, waits, and checks."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from pydantic import HttpUrl

from tests.crashes import checks
from tests.crashes.clients import USERS, Client, Ledger, stop_clients
from tests.crashes.cluster import Traps, WatchedSandbox
from tests.crashes.databases import Database, database
from tests.crashes.endpoints import checked
from tests.crashes.processes import Family, Part
from tests.crashes.report import Report
from tests.crashes.seen import Seen, wait_until_settled
from tests.crashes.steps import API, WORKER, Plan
from tests.crashes.writers import Reports, Writer, enabled
from tests.ports import free_port
from tracker_service.domain.subscriptions import Selection
from tracker_service.identities.keys import KeyRing
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.receiver import PATH as RECEIVER
from tracker_service.settings.sinks import WebhookSettings
from tracker_service.sinks.opening import sealed
from tracker_service.store import subscriptions
from tracker_service.store.database import Store

_DATABASE = "database"
_PAUSE_S = 5.0  #: on average between two crashes of many processes at once
_WORK = 20  #: requests to the cluster between two such crashes, also on a slow machine
_JOBS_PER_KILL = 0.5
_WRITER_PAUSE_S = 0.2  #: before each job of a ledger
_LONGEST_LIMIT = 100_000  #: bytes of a log that is copied directly; some of the jobs have more


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The options of a run."""

    kills: int
    seed: int
    database: str = "sqlite"
    workers: int = 4
    apis: int = 2
    clients: int = 3
    writers: int = 2  #: of the ledger
    settle_s: float = 600.0  #: the longest time in which no task ends


class Driver:
    """One run."""

    def __init__(self, order: Order, home: Path, db: Database) -> None:
        self._order, self._db = order, db
        self._rng = Random(order.seed)
        self._ports = [free_port() for _ in range(order.apis)]
        self._home = home
        self._plan = Plan(Random(order.seed + 1))
        self._family = Family([], Random(order.seed + 2))
        self._traps = Traps(self._family, self._plan, Random(order.seed + 3), self._crash_database)
        self._cluster = Cluster(copy_runs_s=0.5)
        self._requests: Counter[str] = Counter()  #: that the cluster has got
        self.ledger, self.reports = Ledger(), Reports()
        self._next_kill, self._work_until = 0.0, 0

    def run(self, progress: Callable[[str], object]) -> Report:
        """Kill as often as ordered, wait until all is settled, check, and return the report."""
        began = time.monotonic()
        Store(self._db.url).upgrade()
        with WatchedSandbox(self._cluster, self._family, self._traps) as sandbox:
            sandbox.gateway.receiver.prints = False
            self._subscribe(f"{sandbox.root_url}{RECEIVER}")
            self._family.parts, self._requests = self._parts(sandbox), sandbox.record.requests
            try:
                self._family.tend()
                self._until_enough(began, progress)
                killed_s = time.monotonic() - began
                progress(f"{self._kills} kills in {killed_s:.0f} s; now all is left alone\n")
                seen = Seen(
                    url=self._db.url,
                    apis=[f"http://127.0.0.1:{port}" for port in self._ports],
                    sandbox=sandbox,
                    ledger=self.ledger,
                    reports=self.reports,
                    family=self._family,
                )
                left = wait_until_settled(seen, self._order.settle_s, progress)
                problems = checks.problems(seen, left)
            finally:
                self._family.stop()
            return Report.of(seen, problems, self._plan.hits, killed_s, time.monotonic() - began)

    def _subscribe(self, url: str) -> None:
        """Have events of all users sent to the receiver of the sandbox."""
        store = Store(self._db.url)
        hook = WebhookSettings(type="webhook", url=HttpUrl(url))
        # Failures of one family would wait for an hour.
        told = Selection(types=("tracker.job.state_changed", "tracker.logs.*"))
        keys = KeyRing(self._home / "credentials.key")
        for user in USERS:
            with store.begin() as connection:
                sink = sealed(keys, hook, [])
                subscriptions.add(connection, user, f"of {user}", sink, told, datetime.now(UTC))
        store.close()

    @property
    def _kills(self) -> int:
        return self._family.kills.total()

    def _parts(self, sandbox: WatchedSandbox) -> list[Part]:
        common = {
            "TRACKER_STATE_DIR": str(self._home),
            "TRACKER_STORE__URL": self._db.url,
            "TRACKER_GATEWAY__URL": sandbox.url,
            "TRACKER_POLLING__INTERVAL_S": "1",
            "TRACKER_WORKER__LEASE_S": "3",
            "TRACKER_COPYING__RETRY_AFTER_S": "0.5",
            "TRACKER_COPYING__DIRECT_LIMIT": str(_LONGEST_LIMIT),
            "TRACKER_COPYING__REDACT": "false",  # logs are compared with what YARN prints
            "TRACKER_SERVE__REQUESTS_PER_MINUTE": "1000000",
            "TRACKER_SINKS__ALLOWED_HOSTS": '["127.0.0.1"]',
            "TRACKER_SINKS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
            "TMPDIR": str(self._home),
            **enabled(self._home),
            **checked(self._home, sandbox.root_url.partition("://")[2]),
        }
        workers = [
            Part(WORKER, common, self._home / f"worker-{number}.log")
            for number in range(self._order.workers)
        ]
        apis = [
            Part(API, common | _bound_to(port), self._home / f"api-{port}.log")
            for port in self._ports
        ]
        return [*workers, *apis]

    def _until_enough(self, began: float, progress: Callable[[str], object]) -> None:
        told = 0.0
        with self._posting():
            while self._kills < self._order.kills:
                self._family.tend()
                self._traps.arm()
                self._kill_at_random()
                if (now := time.monotonic()) - told > 5:
                    told = now
                    progress(
                        f"{self._kills} of {self._order.kills} kills, "
                        f"{len(self.ledger.answered)} ids answered, {now - began:.0f} s\n"
                    )
                time.sleep(0.02)
            self._traps.disarm()
            self._family.tend()

    @contextmanager
    def _posting(self) -> Iterator[None]:
        urls = [f"http://127.0.0.1:{port}" for port in self._ports]
        clients = [
            Client(
                self._cluster,
                self.ledger,
                urls,
                self._has_room,
                self._after_a_post,
                f"{self._order.seed}-{number}",
            )
            for number in range(self._order.clients)
        ]
        writers = [
            Writer(urls, self.reports, f"{self._order.seed}-{number}", _WRITER_PAUSE_S)
            for number in range(self._order.writers)
        ]
        for client in (*clients, *writers):
            client.start()
        try:
            yield
        finally:
            stop_clients([*clients, *writers])

    def _has_room(self) -> bool:
        return len(self.ledger.started) < 10 + _JOBS_PER_KILL * self._kills

    def _after_a_post(self) -> None:
        """Sometimes kill a process shortly after a client has posted."""
        if self._rng.random() < 0.05 and self._kills < self._order.kills:
            timer = threading.Timer(self._rng.uniform(0, 0.05), self._family.kill)
            timer.daemon = True
            timer.start()

    def _kill_at_random(self) -> None:
        now, work = time.monotonic(), self._requests.total()
        if now < self._next_kill or work < self._work_until:
            return
        self._next_kill = now + self._rng.expovariate(1 / _PAUSE_S)
        self._work_until = work + _WORK
        if self._rng.random() < 0.3:
            self._crash_database()
        if self._rng.random() < 0.2:
            self._family.kill_all()
        else:
            for _ in range(self._rng.randint(1, len(self._family.parts) - 1)):
                self._family.kill()

    def _crash_database(self) -> bool:
        """Crash the server of the database; return False if there is none."""
        is_server = self._db.crash()
        self._family.kills[_DATABASE] += is_server
        return is_server


def run(order: Order, home: Path, progress: Callable[[str], object]) -> Report:
    """Run everything in a directory, and return the report."""
    with database(order.database, home, order.seed) as db:
        return Driver(order, home, db).run(progress)


def _bound_to(port: int) -> dict[str, str]:
    return {"TRACKER_SERVE__BIND": f"127.0.0.1:{port}"}
