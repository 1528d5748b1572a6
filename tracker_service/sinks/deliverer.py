"""Deliver what the subscriptions of this worker have to send: at least once, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from threading import Lock

import structlog

from tracker_service.domain.backoff import Backoff
from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.domain.subscriptions import (
    NOTIFY,
    DeliveryState,
    Subscription,
    SubscriptionReason,
)
from tracker_service.engine.per_owner import PerOwner
from tracker_service.errors import ConfigError, LeaseLost, StoreUnavailable, unexpected
from tracker_service.sinks.families import WINDOW, Sendable, digests, without_storms
from tracker_service.sinks.sink import Message, Outcome, Result, Sink, refused, try_again
from tracker_service.store import deliveries, jobsets, subscriptions
from tracker_service.store.database import Connection, Store, current_time
from tracker_service.store.deliveries import Change, Delivery

log = structlog.get_logger()

_AT_ONCE = 200  #: messages of one receiver, between two transactions
_GIVEN_UP_AFTER = timedelta(hours=24)
PAUSES = Backoff(first_s=1.0, longest_s=300.0, jitter=0.3)
_LONGEST_WISH_S = 3600.0  #: a receiver that asks for a longer pause is asked earlier

Opener = Callable[[Subscription], Sink]  #: raises ConfigError if the sink cannot be used
Counter = Callable[[str, str], None]  #: takes the type of a sink and an outcome


@dataclass(slots=True)
class _Receiver:
    """A subscription that this worker holds; times are of its monotonic clock."""

    subscription: Subscription
    lease: Lease
    sink: Sink | None = None
    failures: int = 0  #: in a row, of the receiver itself
    due: float = 0.0


class Deliverer:
    """The kind of tasks that deliver events. Each receiver is served by one thread at a time."""

    name = NOTIFY

    def __init__(
        self,
        store: Store,
        opener: Opener,
        executor: Executor,
        *,
        clock: Callable[[Connection], datetime] = current_time,
        mute_path: Callable[[str, str], str],
        count: Counter = lambda *_: None,
    ) -> None:
        """Prepare to deliver.

        Args:
            opener: makes the sink of a subscription.
            clock: tells the time; that of the database, because workers' clocks differ.
            mute_path: takes an owner and a family; returns the path of the link that mutes it.
            count: is told of each outcome.
        """
        self._store, self._open, self._clock, self._count = store, opener, clock, count
        self._mute_path = mute_path
        self._per_receiver = PerOwner(executor)
        self._receivers: dict[int, _Receiver] = {}
        self._lock = Lock()

    def load(self, connection: Connection, lease: Lease) -> None:
        """Read the subscriptions of a jobset; one that has changed is opened anew."""
        found = {s.task_id: s for s in subscriptions.of_jobset(connection, lease)}
        with self._lock:
            gone = [
                task_id
                for task_id, receiver in self._receivers.items()
                if receiver.lease.jobset_id == lease.jobset_id and task_id not in found
            ]
            for task_id in gone:
                _close(self._receivers.pop(task_id))
            for task_id, subscription in found.items():
                self._put(task_id, subscription, lease)

    def _put(self, task_id: int, subscription: Subscription, lease: Lease) -> None:
        known = self._receivers.get(task_id)
        if known and known.subscription.sink == subscription.sink:
            known.subscription, known.lease = subscription, lease
            return
        if known:
            _close(known)
        self._receivers[task_id] = _Receiver(subscription, lease)

    def drop(self, jobset_id: int) -> None:
        """Forget a jobset that this worker no longer holds."""
        with self._lock:
            for task_id, receiver in list(self._receivers.items()):
                if receiver.lease.jobset_id == jobset_id:
                    _close(self._receivers.pop(task_id))

    def late(self) -> Mapping[int, int]:
        """Return nothing: a receiver that is slow would be as slow for another worker."""
        return {}

    def pinned(self, _connection: Connection) -> Collection[int]:
        """Return nothing: what is sent while a jobset changes hands is sent again."""
        return ()

    def clock_was_set(self) -> None:
        """Make all that waits due: its times are of the machine's clock."""
        with self._lock:
            ids = list(self._receivers)
        self._store.write(lambda c: deliveries.hasten(c, ids, self._clock(c)))

    def deliver(self) -> None:
        """Start to send whatever is due."""
        now = time.monotonic()
        with self._lock:
            idle = {t: r for t, r in self._receivers.items() if r.due <= now}
        for task_id in [t for t in idle if str(t) in self._per_receiver.busy]:
            del idle[task_id]
        if not idle:
            return
        with self._store.read() as connection:
            ready = deliveries.with_work(connection, idle, self._clock(connection))
        for task_id in sorted(ready):
            self._per_receiver.start(str(task_id), partial(self._serve, idle[task_id]))

    def _serve(self, receiver: _Receiver) -> None:
        """Send all that is due for one receiver."""
        try:
            while self._holds(receiver) and self._send_some(receiver):
                pass
        except LeaseLost as error:
            log.warning("lease_lost", jobset=receiver.lease.jobset_id, reason=str(error))
        except StoreUnavailable as error:
            log.warning("deliveries_wait", receiver=receiver.subscription.name, reason=str(error))
            receiver.due = time.monotonic() + PAUSES.first_s
        except Exception:
            log.exception("deliveries_broke", receiver=receiver.subscription.name)
            self._pause(receiver)

    def _holds(self, receiver: _Receiver) -> bool:
        with self._lock:
            return self._receivers.get(receiver.subscription.task_id) is receiver

    def _pause(self, receiver: _Receiver, wish_s: float | None = None) -> float:
        receiver.failures += 1
        pause_s = max(PAUSES.after(receiver.failures), min(wish_s or 0.0, _LONGEST_WISH_S))
        receiver.due = time.monotonic() + pause_s
        return pause_s

    def _send_some(self, receiver: _Receiver) -> bool:
        """Send the next messages; return False if there is nothing more to do now."""
        now, sendable, held = self._next(receiver.subscription.task_id)
        if not sendable and not held:
            return False
        outcomes = self._sent(receiver, [self._message(receiver, each) for each in sendable])
        changes = [*held, *self._changes(receiver, sendable, outcomes, now)]

        def note(connection: Connection) -> None:
            jobsets.guard(connection, receiver.lease)
            deliveries.change(connection, changes, self._clock(connection))
            self._explain(connection, receiver, outcomes)

        self._store.write(note)
        for outcome in outcomes:
            self._count(str(receiver.subscription.sink.get("type")), outcome.result.value)
        return receiver.due <= time.monotonic()

    def _next(self, task_id: int) -> tuple[datetime, list[Sendable], list[Change]]:
        with self._store.read() as connection:
            now = self._clock(connection)
            due = deliveries.due(connection, task_id, now, _AT_ONCE)
            held = deliveries.held(connection, task_id, now)
            families = {delivery.family for delivery in due if delivery.family}
            last = deliveries.last_sent(connection, task_id, families, now - WINDOW)
        together = [each for each in due if each.family in {other.family for other in held}]
        sendable, to_hold = without_storms([each for each in due if each not in together], last)
        return now, [*digests([*held, *together]), *sendable], to_hold

    def _message(self, receiver: _Receiver, each: Sendable) -> Message:
        family = each.delivery.family
        if family is None:
            return each.message
        path = self._mute_path(receiver.subscription.owner, family)
        return replace(each.message, mute_path=path)

    def _sent(self, receiver: _Receiver, messages: Sequence[Message]) -> Sequence[Outcome]:
        if not messages:
            return ()
        try:
            if receiver.sink is None:
                receiver.sink = self._open(receiver.subscription)
            return receiver.sink.deliver(messages)
        except ConfigError as error:
            return [refused(str(error)) for _ in messages]
        except Exception as error:
            log.exception("sink_broke", receiver=receiver.subscription.name)
            return [try_again(unexpected(error), is_outage=True)]

    def _changes(
        self,
        receiver: _Receiver,
        sendable: Sequence[Sendable],
        outcomes: Sequence[Outcome],
        now: datetime,
    ) -> list[Change]:
        """Return the new states of what was tried; what was not tried stays as it is."""
        changes: list[Change] = []
        for each, outcome in zip(sendable, outcomes, strict=False):
            if outcome.result == Result.TRY_AGAIN:
                retried = self._retried(receiver, each.delivery, outcome, now)
                changes.append(retried)
                changes += [replace(retried, id=c.id, is_tried=False) for c in each.counted]
            elif outcome.result == Result.REFUSED:
                changes.append(_ended(each.delivery, DeliveryState.DEAD, outcome.answer))
            else:
                receiver.failures = 0
                changes.append(_ended(each.delivery, DeliveryState.DELIVERED, outcome.answer))
                counted = f"counted by the message of event {each.delivery.event.event.id}"
                changes += [_ended(c, DeliveryState.GROUPED, counted) for c in each.counted]
        return changes

    def _retried(
        self, receiver: _Receiver, delivery: Delivery, outcome: Outcome, now: datetime
    ) -> Change:
        if now - delivery.created_at > _GIVEN_UP_AFTER:
            return _ended(delivery, DeliveryState.DEAD, f"given up after 24 h: {outcome.answer}")
        if outcome.is_outage:
            pause_s = self._pause(receiver, outcome.retry_after_s)
        else:
            pause_s = PAUSES.after(delivery.attempts + 1)
            pause_s = max(pause_s, min(outcome.retry_after_s or 0.0, _LONGEST_WISH_S))
        due_at = now + timedelta(seconds=pause_s)
        return Change(id=delivery.id, state=delivery.state, due_at=due_at, answer=outcome.answer)

    def _explain(
        self, connection: Connection, receiver: _Receiver, outcomes: Sequence[Outcome]
    ) -> None:
        """Say in the subscription whether its receiver refuses what is sent."""
        if not outcomes:
            return
        last = outcomes[-1]
        trouble = None if last.result == Result.DELIVERED else last.answer
        if trouble == receiver.subscription.trouble:
            return
        reason = Reason(SubscriptionReason.REFUSED, trouble) if trouble else None
        subscriptions.explain(connection, [receiver.subscription.task_id], reason)
        receiver.subscription = replace(receiver.subscription, trouble=trouble)


def _ended(delivery: Delivery, state: DeliveryState, answer: str) -> Change:
    is_tried = state != DeliveryState.GROUPED
    return Change(
        id=delivery.id, state=state, due_at=delivery.due_at, answer=answer, is_tried=is_tried
    )


def _close(receiver: _Receiver) -> None:
    if receiver.sink:
        receiver.sink.close()
