"""Give the engine what a worker does to check endpoints: one kind of tasks, and duties."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import structlog

from tracker_service.checks import posts
from tracker_service.checks.check import CHECK, Check
from tracker_service.checks.files import raw_check
from tracker_service.checks.grammar import BadCheck, Secrets
from tracker_service.checks.probe import Probe, Prober
from tracker_service.checks.state import CheckState, Standing
from tracker_service.domain.backoff import Backoff
from tracker_service.domain.leases import Lease
from tracker_service.engine.clock import Clock
from tracker_service.engine.duties import Duty, Held
from tracker_service.engine.timetable import Batch, Cadence, Entry, Timetable
from tracker_service.errors import ConfigError, LeaseLost, StoreUnavailable
from tracker_service.identities.keys import KeyRing
from tracker_service.store import checks, conditions, events, jobsets
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()

_SWEEP_S = 0.05
_RECORD_S = 0.5
_READMIT_S = 10.0
_LATE_S = 30.0
_GIVEN_AWAY_S = 600.0  #: a worker that could not reach an endpoint does not get it for this long
_MOST_UNRECORDED = 200_000  #: results; while the database is away, the oldest are given up
_NO_PAUSE = Backoff(first_s=1.0, longest_s=1.0)  #: a check that fails runs at its usual times
_LATE_PART = 0.9  #: of an interval, in which its runs are spread


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTask:
    """A task that checks one endpoint."""

    id: int
    lease: Lease
    check: Check
    digest: str

    @property
    def owner(self) -> str:
        """Return what the timetable keeps apart: nothing."""
        return ""


@dataclass(slots=True)
class CheckEntry(Entry):
    """A check, its next due time, and how its last runs have gone."""

    task: CheckTask
    due_at: datetime = field(kw_only=True)  #: by the clock; `due` is when it runs
    standing: Standing = field(kw_only=True)
    missed: list[datetime] = field(default_factory=list)  #: that are still to run


@dataclass(frozen=True, slots=True)
class Finding:
    """A result that is not recorded yet."""

    task: CheckTask
    before: Standing
    probe: Probe
    run: checks.Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a worker does at once."""

    at_once: int  #: checks
    per_host: int  #: checks of one host
    spread_s: float  #: after a due time, in which the checks that are due then are spread


class Checks:
    """The kind of tasks that check an endpoint."""

    name = CHECK

    def __init__(
        self,
        store: Store,
        prober: Prober,
        executor: Executor,
        key_ring: KeyRing,
        secrets: Secrets,
        clock: Clock,
        limits: Limits,
        *,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare to check.

        Args:
            executor: has at least as many threads as `limits` allow checks at once.
            count: is told of each run: `ok`, `failed`, `given_away`, `not_recorded`.
        """
        self._store, self._prober, self._executor = store, prober, executor
        self._key_ring, self._secrets, self._clock = key_ring, secrets, clock
        self._limits, self._count = limits, count
        self._timetable = Timetable[CheckEntry](
            Cadence(
                next_due=self._next_due,
                late_after_s=_LATE_S,
                identity_backoff=_NO_PAUSE,
                task_backoff=_NO_PAUSE,
                batch_size=1,
            )
        )
        self._running = defaultdict[str, int](int)  # by host
        self._waiting = defaultdict[str, deque[Batch[CheckEntry]]](deque)  # by host
        self._busy = 0
        self._lock = Lock()
        self._findings = deque[Finding](maxlen=_MOST_UNRECORDED)
        self._leases: dict[int, Lease] = {}
        self._loads_again = False
        self._asked: dict[int, float] = {}  # when another worker was wanted for a check
        self._worker = ""

    def load(self, connection: Connection, lease: Lease) -> None:
        """Read the checks of a jobset; one that has not changed keeps its due time."""
        now, at = time.monotonic(), self._clock()
        found = checks.of_jobset(connection, lease)
        known = {
            entry.task.id: entry
            for entry in self._timetable.known([held.task_id for held in found])
        }
        standing = {held.task_id: held for held in found}
        tasks = [task for held in found if (task := self._task(held, lease, known))]
        for task in tasks:
            entry = known.get(task.id)
            if entry and entry.task.check.schedule != task.check.schedule:
                self._plan(entry, task.check, entry.due_at, at, now)
        self._leases[lease.jobset_id] = lease
        self._timetable.put(
            lease, tasks, lambda task: self._entry(task, standing[task.id], at, now)
        )

    def _task(
        self, held: checks.HeldCheck, lease: Lease, known: Mapping[int, CheckEntry]
    ) -> CheckTask | None:
        entry = known.get(held.task_id)
        if entry and entry.task.digest == held.digest:
            check = entry.task.check
        else:
            try:
                key, raw = self._key_ring.decrypt(held.sealed.encode())
                opened = raw_check(key, raw, self._secrets)
            except (BadCheck, ConfigError) as error:
                log.error("check_not_loaded", check=held.name, reason=str(error))
                return None
            if opened is None:
                return None
            check = opened
        return CheckTask(id=held.task_id, lease=lease, check=check, digest=held.digest)

    def _entry(
        self, task: CheckTask, held: checks.HeldCheck, at: datetime, now: float
    ) -> CheckEntry:
        standing = Standing(CheckState(held.state), held.since, held.in_a_row)
        entry = CheckEntry(task, due=0.0, due_at=held.due_at, standing=standing)
        self._plan(entry, task.check, held.due_at, at, now)
        return entry

    def _plan(
        self, entry: CheckEntry, check: Check, last: datetime, at: datetime, now: float
    ) -> None:
        """Set the next due time of a check, and those that were missed and are to run now.

        Args:
            last: the due time that ran last.
        """
        offset = timedelta(seconds=self._offset_s(check))
        reached = max(at - offset, last)
        following = next(check.schedule.after(last))
        entry.missed = []
        if following <= reached:
            most = {"skip": 0, "run_once": 1}.get(check.on_missed, check.most_missed)
            entry.missed = check.schedule.missed(last, reached, most)
            following = next(check.schedule.after(reached))
        if entry.missed:
            entry.due_at, entry.due = entry.missed.pop(0), now
        else:
            entry.due_at = following
            entry.due = now + (following + offset - at).total_seconds()

    def _next_due(self, entry: CheckEntry, now: float) -> float:
        if entry.missed:
            entry.due_at = entry.missed.pop(0)
            return now
        self._plan(entry, entry.task.check, entry.due_at, self._clock(), now)
        return entry.due

    def _offset_s(self, check: Check) -> float:
        spread_s = self._limits.spread_s if check.jitter_s is None else check.jitter_s
        every_s = check.schedule.every_s or 60.0
        return check.spread * min(spread_s, _LATE_PART * every_s)

    def drop(self, jobset_id: int) -> None:
        """Forget a jobset that this worker no longer holds."""
        self._leases.pop(jobset_id, None)
        self._timetable.drop(jobset_id)

    def late(self) -> Mapping[int, int]:
        """Return how many checks run too late, by jobset."""
        return self._timetable.late()

    def pinned(self, _: Connection) -> Collection[int]:
        """Return nothing: a check may change hands at any time."""
        return ()

    def clock_was_set(self) -> None:
        """Have all due times computed again, which are instants of that clock."""
        self._loads_again = True

    def duties(self) -> list[Duty]:
        """Return what this kind does again and again."""
        return [
            Duty(name="check", every_s=_SWEEP_S, run=self.sweep),
            Duty(name="record_checks", every_s=_RECORD_S, run=lambda _: self.record()),
            Duty(
                name="readmit_checks",
                every_s=_READMIT_S,
                run=lambda _: self._store.write(lambda c: jobsets.readmit(c, CHECK)),
            ),
        ]

    def sweep(self, held: Held) -> None:
        """Start the checks that are due; those of one host wait for each other above its limit."""
        self._worker = held.worker
        if self._loads_again:
            self._load_again()
        with self._lock:
            free = self._limits.at_once - self._busy
        if free <= 0:
            return
        for batch in self._timetable.take_due(time.monotonic(), free):
            self._start(batch)

    def _load_again(self) -> None:
        self._loads_again = False
        with self._store.read() as connection:
            for lease in list(self._leases.values()):
                self._timetable.drop(lease.jobset_id)
                self.load(connection, lease)

    def _start(self, batch: Batch[CheckEntry]) -> None:
        host = batch.entries[0].task.check.request.host
        with self._lock:
            if self._running[host] >= self._limits.per_host:
                self._waiting[host].append(batch)
                return
            self._running[host] += 1
            self._busy += 1
        self._executor.submit(self._run, batch, host)

    def _run(self, batch: Batch[CheckEntry], host: str) -> None:
        while True:
            self._check(batch)
            with self._lock:
                if waiting := self._waiting.get(host):
                    batch = waiting.popleft()
                    continue
                self._waiting.pop(host, None)
                self._running[host] -= 1
                if not self._running[host]:
                    del self._running[host]
                self._busy -= 1
                return

    def _check(self, batch: Batch[CheckEntry]) -> None:
        [entry] = batch.entries
        began = time.monotonic()
        try:
            if self._timetable.holds(entry.task.lease):
                self._note(entry, self._prober.probe(entry.task.check), began)
        except Exception:
            log.exception("check_broke", check=entry.task.check.name)
        finally:
            now = time.monotonic()
            self._timetable.reschedule(entry, now)
            self._timetable.give_back(batch, now)

    def _note(self, entry: CheckEntry, probe: Probe, began: float) -> None:
        task, check, before = entry.task, entry.task.check, entry.standing
        at = self._clock()
        ran_at = at - timedelta(milliseconds=probe.latency_ms)
        in_maintenance = any(window.over_at(ran_at) for window in check.maintenance)
        if not in_maintenance:
            entry.standing = before.after(check, is_ok=probe.is_ok, at=ran_at)
        run = checks.Run(
            task_id=task.id,
            due_at=entry.due_at,
            ran_at=ran_at,
            late_ms=max(0, round((began - entry.due) * 1000)),
            is_ok=probe.is_ok,
            in_maintenance=in_maintenance,
            status=probe.status,
            latency_ms=round(probe.latency_ms),
            phases=probe.phases,
            values=probe.values or None,
            error=probe.error,
            worker=self._worker,
            state=entry.standing.state,
            since=entry.standing.since,
            in_a_row=entry.standing.in_a_row,
            certificate_until=probe.certificate_until,
        )
        if len(self._findings) == _MOST_UNRECORDED:
            self._count("not_recorded")
        self._findings.append(Finding(task, before, probe, run))

    def record(self) -> None:
        """Record what was found; what another worker holds now is left to it.

        Several runs of a check, as after an outage, are recorded one after the other.

        Raises:
            StoreUnavailable: the database does not answer; the next call tries again.
        """
        has_more = True
        while has_more:
            taken, has_more = _first_of_each(self._findings)
            if taken:
                self._record_one_of_each(taken)

    def _record_one_of_each(self, taken: Sequence[Finding]) -> None:
        try:
            given_away = self._give_away(taken)
            rest = [finding for finding in taken if finding.task.id not in given_away]
            lost = self._store.write(lambda c: self._record(c, rest))
        except StoreUnavailable:
            self._findings.extendleft(reversed(taken))
            raise
        for lease in lost:
            self._timetable.lose(lease)
        for finding in rest:
            self._count("ok" if finding.probe.is_ok else "failed")

    def _record(self, connection: Connection, taken: Sequence[Finding]) -> set[Lease]:
        leases = {finding.task.lease for finding in taken}
        held = checks.still_held(connection, leases)
        here = checks.present(
            connection, {f.task.id: f.task.lease for f in taken if f.task.lease in held}
        )
        valid = [finding for finding in taken if finding.task.id in here]
        checks.record(connection, [finding.run for finding in valid])
        reached = set[str]()
        for finding in valid:
            for event in self._events(finding):
                events.append(connection, event)
            if finding.before.state == CheckState.DOWN and not finding.probe.is_unreachable:
                reached.add(finding.task.check.name[:100])
        conditions.end(connection, conditions.CHECK_UNREACHABLE, reached)
        return leases - held

    def _events(self, finding: Finding) -> Iterator[Any]:
        check, run, before = finding.task.check, finding.run, finding.before
        if run.in_maintenance:
            return
        after = Standing(CheckState(run.state), run.since, run.in_a_row)
        is_first = before.state == CheckState.NEW and after.state == CheckState.UP
        if before.state != after.state and not is_first:
            yield posts.change_event(check, before, after, finding.probe, run.ran_at)
        if posts.is_posted(check, before, after, is_ok=run.is_ok):
            values = posts.values_of(check, finding.probe, run.ran_at, run.worker)
            yield from posts.events_of(check.name, check, values, run.ran_at)

    def _may_ask(self, task_id: int) -> bool:
        """Tell whether this worker has not asked lately whether another one takes a check."""
        now = time.monotonic()
        self._asked = {key: at for key, at in self._asked.items() if now - at < _GIVEN_AWAY_S}
        if task_id in self._asked:
            return False
        self._asked[task_id] = now
        return True

    def _give_away(self, taken: Sequence[Finding]) -> set[int]:
        """Give away the checks that this worker cannot reach, if another one may reach them.

        Such a run is not recorded: the other worker runs the same due time.
        """
        gone = set[int]()
        for finding in taken:
            if (
                finding.probe.is_unreachable
                and self._may_ask(finding.task.id)
                and self._is_given_away(finding)
            ):
                gone.add(finding.task.id)
                self._count("given_away")
        return gone

    def _is_given_away(self, finding: Finding) -> bool:
        task, name = finding.task, finding.task.check.name

        def give(connection: Connection) -> bool:
            if jobsets.give_away(connection, task.lease, task.id, self._worker, _GIVEN_AWAY_S):
                return True
            error = finding.probe.error
            data = {"check": name, "error": error, "message": error}
            conditions.note(connection, conditions.CHECK_UNREACHABLE, name[:100], data)
            return False

        try:
            is_gone = self._store.write(give)
        except LeaseLost:
            self._timetable.lose(task.lease)
            return True
        if is_gone:
            log.warning("check_given_away", check=name, reason=finding.probe.error)
            for entry in self._timetable.known([task.id]):
                self._timetable.end(entry)
        return is_gone


def _first_of_each(findings: deque[Finding]) -> tuple[list[Finding], bool]:
    """Take findings, the first of each check; tell whether there are later ones of a check."""
    seen, first, later = set[int](), list[Finding](), list[Finding]()
    for _ in range(len(findings)):
        finding = findings.popleft()
        if finding.task.id in seen:
            later.append(finding)
            continue
        seen.add(finding.task.id)
        first.append(finding)
    findings.extendleft(reversed(later))
    return first, bool(later)
