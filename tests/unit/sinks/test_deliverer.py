from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from tests.unit.fakes import NOW, AtOnce, job
from tracker_service.domain.events import Event
from tracker_service.domain.subscriptions import NOTIFY, DeliveryState, Selection, Subscription
from tracker_service.errors import ConfigError
from tracker_service.sinks import deliverer as module
from tracker_service.sinks.deliverer import Deliverer
from tracker_service.sinks.muting import Muting
from tracker_service.sinks.sink import Message, Outcome, delivered, one_by_one, refused, try_again
from tracker_service.store import deliveries, events, jobsets, muted_families, subscriptions
from tracker_service.store.database import Connection, Store, current_time

OK = delivered("200 OK")


@dataclass
class Receiver:
    """A sink that answers what the test lets it, and then that it is fine."""

    answers: list[Outcome | Exception] = field(default_factory=list)
    got: list[Message] = field(default_factory=list)
    is_closed: bool = False

    def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return one_by_one(messages, self._take)

    def _take(self, message: Message) -> Outcome:
        answer = self.answers.pop(0) if self.answers else OK
        if isinstance(answer, Exception):
            raise answer
        self.got.append(message)
        return answer

    def close(self) -> None:
        self.is_closed = True


class Delivering:
    """The deliveries of one worker, with receivers and clocks that the test sets."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.passed, self.seconds = store, timedelta(), 1000.0
        self.receivers: dict[str, Receiver] = {}
        self.counted: list[tuple[str, str]] = []
        self.deliverer = Deliverer(
            store,
            self._open,
            AtOnce(),
            clock=self.clock,
            mute_path=lambda owner, family: f"/mute/{owner}/{family}",
            count=lambda sink, outcome: self.counted.append((sink, outcome)),
        )
        monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        return self.seconds

    def clock(self, connection: Connection) -> datetime:
        return current_time(connection) + self.passed

    def _open(self, subscription: Subscription) -> Receiver:
        if subscription.name == "broken":
            raise ConfigError("its settings are wrong")
        return self.receivers.setdefault(subscription.name, Receiver())

    def subscribe(self, name: str, selection: Selection | None = None) -> Receiver:
        with self.store.begin() as connection:
            sink = {"type": "webhook"}
            subscriptions.add(connection, "guest", name, sink, selection or Selection(), NOW)
            jobsets.claim(connection, "worker", [NOTIFY], 3600, 10)
        self.load()
        return self.receivers.setdefault(name, Receiver())

    def load(self) -> None:
        with self.store.read() as connection:
            for held in jobsets.held(connection, "worker"):
                self.deliverer.load(connection, held.lease)

    def happens(self, number: int, kind: str = "tracker.job.failed", family: str | None = None):
        cause = {"fingerprint": family, "category": "memory"} if family else None
        event = Event(
            type=kind, subject=job(number), time=NOW, owner="guest", data={"cause": cause}
        )
        self.store.write(lambda connection: events.append(connection, event))
        return event

    def go_on(self, seconds: float) -> None:
        """Advance the time, and send what is due then."""
        self.passed += timedelta(seconds=seconds)
        self.seconds += seconds
        self.deliverer.deliver()

    def states(self) -> list[str]:
        with self.store.read() as connection:
            found = deliveries.known(connection, "guest", (), None, 1000)
        return [each.state.value for each in reversed(found)]

    def answers(self) -> list[str | None]:
        with self.store.read() as connection:
            found = deliveries.known(connection, "guest", (), None, 1000)
        return [each.answer for each in reversed(found)]


@pytest.fixture
def delivering(store: Store, monkeypatch: pytest.MonkeyPatch) -> Delivering:
    return Delivering(store, monkeypatch)


def ids(receiver: Receiver) -> list[str]:
    return [message.kept.event.id for message in receiver.got]


def test_events_are_delivered_in_their_order_and_once(delivering):
    receiver = delivering.subscribe("a")
    happened = [delivering.happens(number).id for number in range(5)]

    delivering.go_on(1)
    delivering.go_on(1)

    assert ids(receiver) == happened
    assert delivering.states() == ["delivered"] * 5
    assert delivering.answers() == ["200 OK"] * 5
    assert delivering.counted == [("webhook", "delivered")] * 5


def test_a_message_that_is_not_taken_is_sent_again_with_the_same_id(delivering):
    receiver = delivering.subscribe("a")
    receiver.answers = [try_again("500 Oops"), try_again("500 Oops")]
    event = delivering.happens(1)

    delivering.go_on(1)
    assert delivering.states() == ["pending"]
    for _ in range(10):
        delivering.go_on(2)

    assert ids(receiver) == [event.id] * 3
    assert delivering.states() == ["delivered"]


def test_what_waits_holds_up_its_own_subject_only(delivering):
    receiver = delivering.subscribe("a")
    receiver.answers = [try_again("500 Oops")]
    first, second = delivering.happens(1), delivering.happens(1, "tracker.logs.saved")
    other = delivering.happens(2)

    delivering.go_on(0)
    assert ids(receiver) == [first.id, other.id]
    delivering.go_on(10)

    assert ids(receiver) == [first.id, other.id, first.id, second.id]


def test_the_pauses_grow_and_follow_what_the_receiver_asks_for(delivering):
    receiver = delivering.subscribe("a")
    receiver.answers = [try_again("429", 120.0, is_outage=True)]
    delivering.happens(1)

    delivering.go_on(1)
    for _ in range(11):
        delivering.go_on(10)
    assert len(receiver.got) == 1
    delivering.go_on(10)

    assert len(receiver.got) == 2


def test_a_receiver_that_is_away_is_not_asked_for_each_message(delivering):
    receiver = delivering.subscribe("a")
    receiver.answers = [try_again("no answer", is_outage=True) for _ in range(4)]
    for number in range(10):
        delivering.happens(number)

    for _ in range(10):
        delivering.go_on(0)

    assert len(receiver.got) == 1


def test_a_receiver_that_breaks_holds_up_no_other(delivering):
    broken, fine = delivering.subscribe("a"), delivering.subscribe("b")
    broken.answers = [RuntimeError("a fault of the sink")] * 3
    event = delivering.happens(1)

    delivering.go_on(1)

    assert ids(fine) == [event.id]
    assert delivering.states() == ["pending", "delivered"]


def test_what_is_refused_is_dead_at_once_and_the_subscription_says_why(delivering):
    receiver = delivering.subscribe("a")
    receiver.answers = [refused("410 Gone")]
    delivering.happens(1)
    delivering.go_on(1)

    assert delivering.states() == ["dead"]
    assert trouble(delivering) == "410 Gone"

    delivering.happens(2)
    delivering.go_on(1)

    assert delivering.states() == ["dead", "delivered"]
    assert trouble(delivering) is None


def trouble(delivering: Delivering) -> str | None:
    with delivering.store.read() as connection:
        [subscription] = subscriptions.of_owners(connection, ["guest"])
    return subscription.trouble


def test_what_is_not_taken_for_a_day_is_given_up_and_can_be_replayed(delivering):
    receiver = delivering.subscribe("a")
    receiver.answers = [try_again("503", is_outage=True) for _ in range(1000)]
    delivering.happens(1)
    for _ in range(25 * 6):
        delivering.go_on(600)

    assert delivering.states() == ["dead"]
    assert delivering.answers() == ["given up after 24 h: 503"]

    receiver.answers = []
    with delivering.store.begin() as connection:
        assert deliveries.replay(connection, "guest", None) == 1
    delivering.go_on(600)
    assert delivering.states() == ["delivered"]


def test_a_sink_that_cannot_be_opened_refuses_with_the_reason(delivering):
    delivering.subscribe("broken")
    delivering.happens(1)

    delivering.go_on(1)

    assert (delivering.states(), delivering.answers()) == (["dead"], ["its settings are wrong"])


def test_a_worker_that_has_lost_the_lease_changes_nothing(delivering):
    receiver = delivering.subscribe("a")
    delivering.happens(1)
    with delivering.store.begin() as connection:
        jobsets.release(connection, "worker")
        jobsets.claim(connection, "another", [NOTIFY], 3600, 10)

    delivering.go_on(1)

    assert len(receiver.got) == 1  # at least once: the other worker sends it again
    assert delivering.states() == ["pending"]


def test_a_jobset_that_is_dropped_closes_its_sinks_and_sends_no_more(delivering):
    receiver = delivering.subscribe("a")
    delivering.happens(1)
    delivering.go_on(1)
    with delivering.store.read() as connection:
        [held] = jobsets.held(connection, "worker")

    delivering.deliverer.drop(held.lease.jobset_id)
    delivering.happens(2)
    delivering.go_on(1)

    assert receiver.is_closed
    assert len(receiver.got) == 1


def test_failures_of_one_family_are_one_message_at_once_and_one_that_counts(delivering):
    receiver = delivering.subscribe("a")
    for number in range(15):
        delivering.happens(number, family="f1")
    other = delivering.happens(50, family="f2")
    delivering.go_on(1)

    assert [message.others for message in receiver.got] == [None, None]
    assert ids(receiver)[1] == other.id
    delivering.go_on(1800)
    assert len(receiver.got) == 2
    delivering.go_on(1801)

    digest = receiver.got[2]
    assert digest.others is not None
    assert (digest.others.count, digest.others.since) == (13, NOW.isoformat())
    assert digest.kept.event.subject == job(14)
    states = delivering.states()
    assert states.count("delivered") == 3
    assert states.count("grouped") == 13


def test_a_family_that_goes_on_is_told_once_an_hour(delivering):
    receiver = delivering.subscribe("a")
    for number in range(6 * 5):
        delivering.happens(number, family="f1")
        delivering.go_on(600)

    counted = [message.others.count if message.others else 0 for message in receiver.got]
    assert counted[0] == 0
    assert len(counted) == 5
    assert sum(counted) + len(counted) >= 24


def test_a_digest_that_is_not_taken_is_sent_again_later(delivering):
    receiver = delivering.subscribe("a")
    for number in range(3):
        delivering.happens(number, family="f1")
    delivering.go_on(1)
    receiver.answers = [try_again("500")]

    delivering.go_on(3601)
    assert len(receiver.got) == 2
    for _ in range(5):
        delivering.go_on(5)

    assert [m.others.count for m in receiver.got[1:] if m.others] == [1, 1]
    assert delivering.states() == ["delivered", "grouped", "delivered"]


def test_a_message_of_a_failure_has_the_link_that_mutes_its_family(delivering):
    receiver = delivering.subscribe("a")
    delivering.happens(1, family="f1")
    delivering.happens(2, "tracker.logs.saved")
    delivering.go_on(1)

    assert [message.mute_path for message in receiver.got] == ["/mute/guest/f1", None]


def test_nothing_of_a_muted_family_is_sent(delivering):
    receiver = delivering.subscribe("a")
    with delivering.store.begin() as connection:
        until = current_time(connection) + timedelta(hours=1)
        muted_families.mute(connection, "guest", "f1", until, "guest")
    delivering.happens(1, family="f1")
    other = delivering.happens(2, family="f2")

    delivering.go_on(1)

    assert ids(receiver) == [other.id]


def test_what_is_held_back_of_a_family_that_is_muted_then_is_not_sent(delivering, key_ring):
    receiver = delivering.subscribe("a")
    for number in range(3):
        delivering.happens(number, family="f1")
    delivering.go_on(1)

    muting = Muting(delivering.store, key_ring, lambda: NOW)
    muting.mute("guest", "f1", timedelta(hours=8), "guest")
    delivering.go_on(3601)

    assert len(receiver.got) == 1
    assert delivering.states() == ["delivered", "muted", "muted"]


def test_after_the_clock_was_set_what_waits_is_sent_at_once(delivering):
    receiver = delivering.subscribe("a")
    receiver.answers = [try_again("500", 3000.0)]
    delivering.happens(1)
    delivering.go_on(1)
    delivering.go_on(1)
    assert len(receiver.got) == 1

    delivering.deliverer.clock_was_set()
    delivering.go_on(0)

    assert len(receiver.got) == 2
    assert delivering.states() == [DeliveryState.DELIVERED]


def test_a_sink_is_opened_anew_when_its_settings_change(delivering):
    before = delivering.subscribe("a")
    delivering.happens(1)
    delivering.go_on(1)
    after = delivering.receivers["a"] = Receiver()
    with delivering.store.begin() as connection:
        [known] = subscriptions.of_owners(connection, ["guest"])
        change: Callable[..., None] = subscriptions.change
        change(connection, known, {"type": "other"}, known.selection)
    delivering.load()

    delivering.happens(2)
    delivering.go_on(1)

    assert (before.is_closed, len(before.got), len(after.got)) == (True, 1, 1)
