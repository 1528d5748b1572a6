"""Carry out what the settings want for a job in a state: once at a time, on any worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Protocol

import structlog

from tracker_service.domain.ledger import COMPLETE, UNCHANGED, LedgerJob, Status
from tracker_service.errors import LeaseLost, LedgerError, StoreUnavailable
from tracker_service.ledger.ledger import Counts, Ledger
from tracker_service.store import ledger_actions, ledger_jobs
from tracker_service.store.database import Connection, Store
from tracker_service.store.ledger_actions import Claim

log = structlog.get_logger()

_LEASE_S = 60.0
_AT_ONCE = 16  #: actions of one worker; the others wait


@dataclass(frozen=True, slots=True)
class Done:
    """The job goes on to the next state."""

    detail: str = UNCHANGED


@dataclass(frozen=True, slots=True)
class Failed:
    """The job has failed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """The action is carried out again later, from its beginning."""

    detail: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the action has started is not over; look again soon."""

    seconds: float


Outcome = Done | Failed | Retry | Waiting


class Action(Protocol):
    """What is done for a job."""

    def run(self, claim: Claim, note: Callable[[str], object]) -> Outcome:
        """Carry it out, or go on with what was begun.

        Args:
            note: takes the id of what the action has started, before anything else is done.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is done in a state, and what follows."""

    action: Action
    name: str  #: the state, for metrics
    next: str
    retry_after_s: float
    waits_for: str | None = None  #: a datatype whose job of the same day must be over first


class ActionCounts(Counts, Protocol):
    """Counts actions too."""

    def action(self, name: str, outcome: str, seconds: float) -> None:
        """Count an action."""

    def warned(self, job: LedgerJob, text: str) -> None:
        """Count a warning."""


@dataclass(slots=True)
class PostProcessing:
    """The actions of one ledger on this worker."""

    store: Store
    ledger: Ledger
    steps: Mapping[str, Step]  #: by state
    counts: ActionCounts
    executor: Executor
    _running: dict[int, Claim] = field(default_factory=dict)  #: by the id of the job
    _lock: Lock = field(default_factory=Lock)
    _is_stopping: bool = False

    def advance(self, worker: str) -> None:
        """Claim what is due and begin it; hold what runs."""
        with self._lock:
            running = list(self._running.values())
        if running:
            self.store.write(lambda c: ledger_actions.renew(c, running, _LEASE_S))
        room = _AT_ONCE - len(running)
        if self._is_stopping or room <= 0:
            return
        claims = self.store.write(
            lambda c: ledger_actions.claim(
                c, self.ledger.name, self.steps.keys(), worker, _LEASE_S, room
            )
        )
        for claim in claims:
            with self._lock:
                self._running[claim.stored.id] = claim
            self.executor.submit(self._carry_out, claim)

    def stop(self) -> None:
        """Begin nothing more; another worker goes on with what runs."""
        self._is_stopping = True

    def _carry_out(self, claim: Claim) -> None:
        step, began = self.steps[claim.stored.status.state], time.monotonic()
        try:
            outcome = self._outcome(step, claim)
            self._record(step, claim, outcome, time.monotonic() - began)
        except LeaseLost:
            log.info("ledger_action_lost", job=claim.stored.key)
        except (LedgerError, StoreUnavailable) as error:
            # Nothing is recorded: the action begins again when the lease has ended.
            self.counts.action(step.name, "set status error", time.monotonic() - began)
            log.warning("ledger_action_not_recorded", job=claim.stored.key, reason=str(error))
        except Exception:
            log.exception("ledger_action_broke", job=claim.stored.key)
        finally:
            with self._lock:
                self._running.pop(claim.stored.id, None)

    def _outcome(self, step: Step, claim: Claim) -> Outcome:
        job = claim.stored.job
        if step.waits_for and job.datatype != step.waits_for:
            if not job.datasets.join:
                return Done(f"{job.datatype} does not require join")
            if self._is_awaited(replace(job, datatype=step.waits_for)):
                return Retry(f"waits for {step.waits_for}")

        def note(reference: str) -> None:
            self.store.write(lambda c: ledger_actions.note_reference(c, claim, reference))

        try:
            return step.action.run(claim, note)
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception as error:
            log.warning("ledger_action_failed", job=claim.stored.key, exc_info=error)
            return Retry(f"{type(error).__name__}: {error}")

    def _is_awaited(self, job: LedgerJob) -> bool:
        """Tell whether a job is there and not complete."""
        with self.store.read() as connection:
            found = ledger_jobs.find(connection, self.ledger.name, job.key)
        return found is not None and found.status.state != COMPLETE

    def _record(self, step: Step, claim: Claim, outcome: Outcome, seconds: float) -> None:
        if isinstance(outcome, Waiting):
            self.store.write(
                lambda c: ledger_actions.rest(c, claim, outcome.seconds, keeps_reference=True)
            )
            return
        changed = self.store.write(lambda c: self._record_in(c, step, claim, outcome))
        self.ledger.count(changed)
        name = {Done: "done", Retry: "retry", Failed: "fail"}[type(outcome)]
        self.counts.action(step.name, name, seconds)
        if isinstance(outcome, Retry):
            self.counts.warned(claim.stored.job, "retry")
        log.info("ledger_action", job=claim.stored.key, state=step.name, outcome=name)

    def _record_in(
        self, connection: Connection, step: Step, claim: Claim, outcome: Done | Failed | Retry
    ) -> list[ledger_jobs.Changed | LedgerError]:
        """Record what came of an action, and end or delay it, in one transaction."""
        if isinstance(outcome, Retry):
            ledger_actions.rest(connection, claim, step.retry_after_s, keeps_reference=False)
        else:
            ledger_actions.finish(connection, claim)
        begun, now = claim.stored.status, self.ledger.clock()

        def apply(status: Status) -> Status:
            if (status.run, status.entry) != (begun.run, begun.entry):
                raise _GoneOn
            if isinstance(outcome, Retry):
                return status.with_detail(outcome.detail, now)
            if isinstance(outcome, Failed):
                return status.with_error(outcome.reason, now)
            self.ledger.rules.transitions.check(status.state, step.next)
            return status.updated(step.next, outcome.detail, now)

        change = self.ledger.change(claim.stored.key, apply, action=step.name)
        [changed] = ledger_jobs.change_all(connection, [change])
        if isinstance(changed, LedgerError) and not isinstance(changed, _GoneOn):
            raise changed
        return [changed]


class _GoneOn(LedgerError):
    """The job has gone on to another state while its action ran."""
