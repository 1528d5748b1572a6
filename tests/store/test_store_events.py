from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from pydantic import HttpUrl

from tests.store.rows import NOW, job, seen, track
from tracker_service.domain.events import TEST, Event, EventType
from tracker_service.domain.subscriptions import SITE_OWNER, DeliveryState, Selection
from tracker_service.errors import StoreUnavailable
from tracker_service.identities.keys import KeyRing
from tracker_service.identities.rotation import rotate_keys
from tracker_service.settings.sinks import WebhookSettings
from tracker_service.sinks.opening import sealed, unsealed
from tracker_service.store import conditions, deliveries, events, jobs, subscriptions, track_tasks
from tracker_service.store.conditions import SCALING_LIMIT
from tracker_service.store.database import Connection, Store, current_time
from tracker_service.store.events import EventFilter

ALL, EVERY = EventFilter(), Selection()
WEBHOOK = {"type": "webhook"}


def event(number: int = 1, **values) -> Event:
    usual = {"type": "tracker.job.failed", "subject": job(number), "time": NOW}
    return Event(**{**usual, "data": {"id": job(number)}, "owner": "guest", **values})


def written(store: Store, *new: Event) -> None:
    def write(connection: Connection) -> None:
        for each in new:
            events.append(connection, each)

    store.write(write)


def kept(store: Store, wanted: EventFilter = ALL, after: int = 0) -> list[Event]:
    with store.read() as connection:
        return [each.event for each in events.following(connection, after, wanted, 100)]


def subscribe(store: Store, owner: str, name: str, selection: Selection = EVERY) -> None:
    with store.begin() as connection:
        subscriptions.add(connection, owner, name, WEBHOOK, selection, NOW)


def outbox(store: Store, owner: str) -> list[tuple[str, str]]:
    """Return for whom what is written, as (name of the subscription, type of the event)."""
    with store.read() as connection:
        found = deliveries.known(connection, owner, (), None, 100)
    return sorted((each.subscription, each.event.event.type) for each in found)


def test_events_come_back_as_they_were_written_with_growing_numbers(store):
    first, second = event(1), event(2, data={"name": "é\x00\ud800"})
    written(store, first)
    written(store, second)

    with store.read() as connection:
        found = events.following(connection, 0, ALL, 100)
        last = events.last_sequence(connection)

    assert [each.event.id for each in found] == [first.id, second.id]
    assert found[0].event == first
    assert found[1].event.data == {"name": "é??"}
    assert (found[0].sequence, found[1].sequence) == (last - 1, last)


def test_an_event_is_there_only_if_its_transaction_was_committed(store):
    def broken() -> None:
        with store.begin() as connection:
            events.append(connection, event())
            raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        broken()
    written(store, event(2))

    assert [each.subject for each in kept(store)] == [job(2)]


def test_a_reader_who_has_seen_a_number_misses_no_smaller_one(store):
    """Writers that commit at the same time number their events in the order of their commits."""
    together, numbers = Barrier(4), range(10)

    def write(writer: int) -> None:
        together.wait(60)
        for number in numbers:
            written(store, event(writer * 100 + number))

    seen_so_far: list[int] = []
    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, writer) for writer in range(4)]
        while len(seen_so_far) < 40:
            with store.read() as connection:
                last = seen_so_far[-1] if seen_so_far else 0
                page = events.following(connection, last, ALL, 7)
            seen_so_far += [each.sequence for each in page]
            for done in [each for each in writers if each.done()]:
                done.result()
    assert len(set(seen_so_far)) == 40
    assert seen_so_far == sorted(seen_so_far)


def test_an_event_with_a_known_id_is_written_once(store):
    same = event(id="0" * 36)
    written(store, same, same)
    written(store, same, event(2))

    assert [each.subject for each in kept(store)] == [job(1), job(2)]


def test_events_are_chosen_by_owner_type_and_subject(store):
    mine, theirs = event(1), event(2, owner="sam")
    saved, site = event(1, type="tracker.logs.saved"), event(3, owner=None)
    written(store, mine, theirs, saved, site)

    assert kept(store, EventFilter(owner="guest")) == [mine, saved]
    assert kept(store, EventFilter(types=["tracker.logs.*"])) == [saved]
    assert kept(store, EventFilter(types=["tracker.job.failed"], owner="sam")) == [theirs]
    assert kept(store, EventFilter(subject=job(3))) == [site]
    assert kept(store) == [mine, theirs, saved, site]


def test_old_events_are_pruned_in_steps_with_their_deliveries_and_numbers_go_on(store):
    subscribe(store, "guest", "a")
    long_ago = datetime.now(UTC) - timedelta(days=40)
    written(store, *(event(n, time=long_ago) for n in range(3)))
    written(store, event(9, time=datetime.now(UTC)))
    month = timedelta(days=30).total_seconds()

    with store.begin() as connection:
        assert events.any_older(connection, month)
        events.prune(connection, month, limit=2)
    assert len(kept(store)) == 2
    with store.begin() as connection:
        events.prune(connection, month, limit=2)
        assert not events.any_older(connection, month)

    assert [each.subject for each in kept(store)] == [job(9)]
    assert outbox(store, "guest") == [("a", "tracker.job.failed")]
    written(store, event(10))
    with store.read() as connection:
        assert events.last_sequence(connection) == 5


def test_each_user_who_tracks_a_job_hears_once_of_a_new_state(store):
    with store.begin() as connection:
        track(connection, 1)
        track(connection, 1, owner="sam")
    with store.begin() as connection:
        jobs.record(connection, [seen(1, "RUNNING"), seen(2, "RUNNING")])
        later = NOW + timedelta(seconds=5)
        jobs.record(connection, [seen(1, "KILLED", observed_at=later)])

    told = kept(store)

    assert [(each.owner, each.subject) for each in told] == [("guest", job(1)), ("sam", job(1))]
    assert told[0].type == EventType.JOB_STATE_CHANGED
    assert (told[0].data["from"], told[0].data["to"], told[0].time) == ("RUNNING", "KILLED", later)


def test_users_hear_of_a_rerun_and_not_of_a_job_that_they_have_stopped(store):
    with store.begin() as connection:
        track(connection, 1)
        track(connection, 2)
        track_tasks.stop(connection, "guest", job(2), NOW)
        jobs.record(connection, [seen(1, "KILLED")])
    with store.begin() as connection:
        jobs.record(connection, [seen(1, "RUNNING", run=1), seen(2, "KILLED")])

    told = [(each.subject, each.data["run"], each.data["to"]) for each in kept(store)]
    assert told == [(job(1), 0, "KILLED"), (job(1), 1, "RUNNING")]


def test_a_delivery_is_written_with_its_event_for_each_subscription_that_wants_it(store):
    subscribe(store, "guest", "all")
    subscribe(store, "guest", "logs", Selection(types=("tracker.logs.*",)))
    subscribe(store, "sam", "sams")
    subscribe(store, SITE_OWNER, "ops", Selection(types=("tracker.job.failed",)))

    written(store, event(1), event(1, type="tracker.logs.saved"))

    assert outbox(store, "guest") == [
        ("all", "tracker.job.failed"),
        ("all", "tracker.logs.saved"),
        ("logs", "tracker.logs.saved"),
    ]
    assert outbox(store, "sam") == []
    assert outbox(store, SITE_OWNER) == [("ops", "tracker.job.failed")]


def test_the_site_hears_once_of_what_several_users_hear(store):
    subscribe(store, SITE_OWNER, "ops")

    written(store, event(1, about="same"), event(1, about="same", owner="sam"))
    written(store, event(1, about="same", owner="tom"))

    assert len(outbox(store, SITE_OWNER)) == 1


def test_a_test_event_goes_only_to_the_subscription_that_it_names(store):
    subscribe(store, "guest", "all")
    subscribe(store, "guest", "logs", Selection(types=("tracker.logs.*",)))

    written(store, event(type=TEST, subject="logs"))

    assert outbox(store, "guest") == [("logs", TEST)]


def test_a_subscription_that_is_removed_sends_nothing_more_and_is_forgotten_later(store):
    subscribe(store, "guest", "a")
    written(store, event(1))
    with store.begin() as connection:
        assert subscriptions.remove(connection, "guest", "a", datetime.now(UTC))
        assert not subscriptions.remove(connection, "guest", "a", datetime.now(UTC))
    written(store, event(2))

    assert outbox(store, "guest") == []
    with store.begin() as connection:
        assert subscriptions.of_owners(connection, ["guest"]) == []
        subscriptions.forget_removed(connection, -60)


def test_what_is_dead_can_be_sent_again_by_its_owner_only(store):
    subscribe(store, "guest", "a")
    written(store, event(1))
    with store.begin() as connection:
        [one] = deliveries.known(connection, "guest", (), None, 10)
        dead = deliveries.Change(
            id=one.id, state=DeliveryState.DEAD, due_at=one.due_at, answer="410 Gone"
        )
        deliveries.change(connection, [dead], current_time(connection))

    with store.begin() as connection:
        assert deliveries.replay(connection, "sam", None) == 0
        assert deliveries.replay(connection, "guest", [one.id + 1]) == 0
        assert deliveries.replay(connection, "guest", [one.id]) == 1
        assert deliveries.replay(connection, "guest", None) == 0
    with store.read() as connection:
        [again] = deliveries.due(connection, one.task_id, current_time(connection), 10)
    assert (again.id, again.answer, again.attempts) == (one.id, "410 Gone", 1)


def test_a_later_event_of_a_subject_waits_for_the_earlier_one(store):
    subscribe(store, "guest", "a")
    written(store, event(1), event(1, type="tracker.logs.saved"), event(2))
    with store.begin() as connection:
        now = current_time(connection)
        [task] = subscriptions.of_owners(connection, ["guest"])
        first, *_ = deliveries.due(connection, task.task_id, now, 10)
        later = deliveries.Change(
            id=first.id,
            state=DeliveryState.PENDING,
            due_at=now + timedelta(minutes=1),
            answer="503",
        )
        deliveries.change(connection, [later], now)

        due = deliveries.due(connection, task.task_id, now, 10)
        all_due = deliveries.due(connection, task.task_id, now + timedelta(minutes=2), 10)

    assert [each.event.event.subject for each in due] == [job(2)]
    assert [each.event.event.subject for each in all_due] == [job(1), job(1), job(2)]


def test_routes_of_the_settings_replace_those_of_before_and_keep_what_is_the_same(store):
    logs, every = Selection(types=("tracker.logs.*",)), EVERY
    with store.begin() as connection:
        subscriptions.set_routes(
            connection, {"ops": ({"name": "ops"}, every), "old": ({"name": "old"}, every)}, NOW
        )
    written(store, event(1))
    with store.begin() as connection:
        subscriptions.set_routes(
            connection, {"ops": ({"name": "ops"}, logs), "new": ({"name": "new"}, every)}, NOW
        )
        found = subscriptions.of_owners(connection, [SITE_OWNER])

    assert [(each.name, each.selection) for each in found] == [("ops", logs), ("new", every)]
    assert outbox(store, SITE_OWNER) == [("ops", "tracker.job.failed")]


def test_a_condition_begins_and_ends_with_one_event_whoever_sees_it(store):
    def note() -> bool:
        return store.write(lambda c: conditions.note(c, SCALING_LIMIT, "workers", {"a": 1}))

    assert (note(), note()) == (True, False)
    store.write(lambda c: conditions.end_unseen(c, SCALING_LIMIT, 60))
    with store.read() as connection:
        [lasting] = conditions.current(connection, SCALING_LIMIT)
    assert (lasting.subject, lasting.data) == ("workers", {"a": 1})

    store.write(lambda c: conditions.end_unseen(c, SCALING_LIMIT, -60))
    store.write(lambda c: conditions.end_unseen(c, SCALING_LIMIT, -60))

    types = [each.type for each in kept(store)]
    assert types == [EventType.SCALING_LIMIT_HIT, EventType.SCALING_LIMIT_OVER]
    assert [each.owner for each in kept(store)] == [None, None]


def test_a_new_key_encrypts_the_sinks_of_subscriptions_too(store, tmp_path):
    key_file = tmp_path / "keys"
    hook = WebhookSettings(type="webhook", url=HttpUrl("https://hooks.example.com/x"))
    with store.begin() as connection:
        sink = sealed(KeyRing(key_file), hook, ["whsec_1"])
        subscriptions.add(connection, "guest", "a", sink, EVERY, NOW)
        subscriptions.add(connection, SITE_OWNER, "ops", {"name": "ops"}, EVERY, NOW)

    assert rotate_keys(store, key_file, forget_old=True) == 1

    with store.read() as connection:
        [kept_one] = subscriptions.of_owners(connection, ["guest"])
    assert kept_one.sink["sealed"] != sink["sealed"]
    assert unsealed(KeyRing(key_file), kept_one.sink) == (hook, ["whsec_1"])
