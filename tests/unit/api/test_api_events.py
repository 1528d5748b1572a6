from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.calls import ADMIN, GUEST, SAM
from tests.unit.fakes import NOW, job
from tracker_service.domain.events import SITE, Event
from tracker_service.domain.subscriptions import SITE_OWNER, DeliveryState, Selection
from tracker_service.identities.keys import KeyRing
from tracker_service.sinks.muting import Muting
from tracker_service.sinks.opening import unsealed
from tracker_service.store import deliveries, events, muted_families, subscriptions
from tracker_service.store.database import Connection
from tracker_service.store.deliveries import Change

HOOK = {"type": "webhook", "url": "https://hooks.example.com/my-team?key=1"}


@pytest.fixture
def happens(store):
    def happens(number: int, owner: str | None = "guest", kind: str = "tracker.job.failed") -> None:
        event = Event(type=kind, subject=job(number), time=NOW, owner=owner, data={"links": {}})
        store.write(lambda connection: events.append(connection, event))

    return happens


def subjects(answer) -> list[str]:
    return [event["subject"] for event in answer.json["events"]]


def test_users_see_their_own_events_and_admins_all(client, happens):
    happens(1)
    happens(2, "sam")
    happens(3, None)

    assert subjects(client.get("/api/events", auth=GUEST)) == [job(1)]
    assert subjects(client.get("/api/events", auth=SAM)) == [job(2)]
    assert subjects(client.get("/api/events", auth=ADMIN)) == [job(1), job(2), job(3)]


def test_events_are_read_page_by_page(client, happens):
    for number in range(5):
        happens(number)

    pages, after = [], 0
    while page := client.get(f"/api/events?after={after}&limit=2", auth=GUEST).json["events"]:
        pages.append([event["subject"] for event in page])
        after = int(page[-1]["sequence"])

    assert pages == [[job(0), job(1)], [job(2), job(3)], [job(4)]]
    assert client.get(f"/api/events?after={after}", auth=GUEST).json == {
        "events": [],
        "next": after,
    }


def test_events_are_cloud_events(client, happens):
    happens(1)

    [event] = client.get(f"/api/events?subject={job(1)}", auth=GUEST).json["events"]

    assert event["specversion"] == "1.0"
    assert event["source"] == "http://127.0.0.1:8080"
    assert event["time"] == "2026-11-22T05:00:00.000Z"
    assert set(event) == {
        *("specversion", "id", "source", "type", "subject", "time"),
        *("datacontenttype", "sequence", "data"),
    }


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "limit=0", "limit=5000", "kind=a", f"subject={'x' * 300}"]
)
def test_a_wrong_query_is_refused(client, query):
    assert client.get(f"/api/events?{query}", auth=GUEST).status_code == 400


def test_a_stream_needs_the_server_that_can_hold_it(client):
    answer = client.get("/api/events", auth=GUEST, headers={"Accept": "text/event-stream"})

    assert answer.status_code == 501


def subscribed(client, auth=GUEST, **more):
    return client.post("/api/subscriptions", auth=auth, json={"sink": HOOK, **more})


def test_a_subscription_shows_its_secret_once_and_its_host_only(client, store):
    new = subscribed(client, types=["tracker.logs.*"], **{"job-name": "daily*"})

    assert new.status_code == 201
    assert new.json["secret"].startswith("whsec_")
    [known] = client.get("/api/subscriptions", auth=GUEST).json
    assert (known["id"], known["sink"], known["to"]) == (
        new.json["id"],
        "webhook",
        "hooks.example.com",
    )
    assert known["wants"] == {"types": ["tracker.logs.*"], "job-name": "daily*"}
    assert "key=1" not in str(known)
    assert client.get("/api/subscriptions", auth=SAM).json == []
    with store.read() as connection:
        rows = connection.exec_driver_sql("SELECT spec FROM tasks WHERE kind = 'notify'").all()
    assert "key=1" not in str(rows)
    assert new.json["secret"] not in str(rows)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"sink": HOOK | {"url": "https://elsewhere.example.org/"}}, 403),
        ({"sink": HOOK | {"url": "file:///etc/passwd"}}, 400),
        ({"sink": HOOK | {"secret_file": "/etc/passwd"}}, 400),
        ({"sink": HOOK | {"secret": "short"}}, 400),
        ({"sink": {"type": "pigeon"}}, 400),
        ({"sink": HOOK, "kinds": []}, 400),
        ({"sink": HOOK, "types": ["DROP TABLE"]}, 400),
        ({"sink": HOOK, "quiet": {"begin": "22:00", "end": "7:00", "zone": "Nowhere"}}, 400),
        ([], 400),
    ],
)
def test_a_subscription_that_cannot_be_is_refused_and_nothing_is_kept(client, body, status):
    answer = client.post("/api/subscriptions", auth=GUEST, json=body)

    assert (answer.status_code, len(answer.json["detail"]) > 10) == (status, True)
    assert client.get("/api/subscriptions", auth=GUEST).json == []


def test_a_user_has_twenty_subscriptions_at_most(client):
    assert [subscribed(client).status_code for _ in range(21)] == [201] * 20 + [403]


def test_a_subscription_is_removed_by_its_owner_only(client):
    path = f"/api/subscriptions/{subscribed(client).json['id']}"

    assert client.delete(path, auth=SAM).status_code == 404
    assert client.delete(path, auth=GUEST).status_code == 204
    assert client.delete(path, auth=GUEST).status_code == 404
    assert client.get("/api/subscriptions", auth=GUEST).json == []


def test_what_is_on_its_way_is_listed_for_its_owner_only(client, happens):
    name = subscribed(client).json["id"]
    happens(1)
    test = client.post(f"/api/subscriptions/{name}/test", auth=GUEST)

    found = client.get("/api/deliveries", auth=GUEST).json

    assert test.status_code == 202
    assert [(each["type"], each["state"]) for each in found] == [
        ("tracker.test", "pending"),
        ("tracker.job.failed", "pending"),
    ]
    assert found[0]["event"] == test.json["event"]
    assert client.get("/api/deliveries", auth=SAM).json == []
    assert client.get("/api/deliveries?state=dead", auth=GUEST).json == []
    before = client.get(f"/api/deliveries?before={found[0]['id']}", auth=GUEST).json
    assert [each["id"] for each in before] == [found[1]["id"]]
    assert client.post(f"/api/subscriptions/{name}/test", auth=SAM).status_code == 404


def test_only_what_was_given_up_is_replayed(client, happens):
    subscribed(client)
    happens(1)

    answer = client.post("/api/deliveries/replay", auth=GUEST, json={})
    assert answer.json == {"replayed": 0}
    assert client.post("/api/deliveries/replay", auth=GUEST, json={"ids": ["x"]}).status_code == 400


def test_a_new_secret_signs_beside_the_last_one_only(client, service, key_ring):
    first = subscribed(client).json
    path = f"/api/subscriptions/{first['id']}/secret"

    assert client.post(path, auth=SAM).status_code == 404
    second, third = (client.post(path, auth=GUEST).json["secret"] for _ in range(2))

    [known] = service.subscribing.of("guest")
    settings, used = unsealed(key_ring, known.sink)
    assert len({first["secret"], second, third}) == 3
    assert (str(settings.url), used) == (HOOK["url"], [third, second])


@pytest.fixture
def of_site(store) -> None:
    """A delivery of a route of the site, which was given up."""
    sink, every = {"name": "ops", "type": "webhook"}, Selection()

    def fail(connection: Connection) -> None:
        [delivery] = deliveries.known(connection, SITE_OWNER, (), None, 10)
        dead = Change(id=delivery.id, state=DeliveryState.DEAD, due_at=NOW, answer="410 Gone")
        deliveries.change(connection, [dead], NOW)

    store.write(lambda c: subscriptions.set_routes(c, routes={"ops": (sink, every)}, now=NOW))
    told = Event(type="tracker.cluster.trouble", subject="oozie", time=NOW, owner=SITE, data={})
    store.write(lambda connection: events.append(connection, told))
    store.write(fail)


def test_what_the_site_sends_is_seen_and_replayed_by_who_oversees_it(client, of_site):
    path, replay = "/api/deliveries?site=true", "/api/deliveries/replay"

    assert client.get("/api/deliveries", auth=ADMIN).json == []
    assert client.get(path, auth=GUEST).status_code == 403
    [seen] = client.get(path, auth=ADMIN).json
    assert (seen["subscription"], seen["state"], seen["answer"]) == ("ops", "dead", "410 Gone")
    assert client.post(replay, auth=GUEST, json={"site": True}).status_code == 403
    assert client.post(replay, auth=ADMIN, json={}).json == {"replayed": 0}
    assert client.post(replay, auth=ADMIN, json={"site": True}).json == {"replayed": 1}
    assert client.get(path, auth=ADMIN).json[0]["state"] == "pending"


def muted(store) -> set[tuple[str, str | None]]:
    with store.read() as connection:
        owners = ("", "guest", "sam")
        return muted_families.of_owners(connection, owners, NOW + timedelta(minutes=1))


def test_a_family_is_muted_for_its_user_and_by_admins_for_the_site(client, store):
    path = "/api/failures/f14b38a372c0/mute"
    assert client.post(path, auth=GUEST, json={"hours": 8}).json == {
        "fingerprint": "f14b38a372c0",
        "until": "2026-11-22T13:00:00.000+00:00",
    }
    assert client.post(path, auth=GUEST, json={"site": True}).status_code == 403
    assert client.post(path, auth=ADMIN, json={"site": True}).status_code == 200
    assert muted(store) == {("guest", "f14b38a372c0"), ("", "f14b38a372c0")}

    assert client.delete(path, auth=GUEST).status_code == 204
    assert client.delete(f"{path}?site=true", auth=ADMIN).status_code == 204
    assert muted(store) == set()


def test_the_link_in_a_message_asks_first_and_mutes_then(client, store, key_ring, now):
    path = Muting(store, key_ring, now).path("guest", "f14b38a372c0")

    page = client.get(path)
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    assert '<form method="post">' in page.text
    assert muted(store) == set()

    assert "Muted" in client.post(path).text
    assert muted(store) == {("guest", "f14b38a372c0")}


def test_a_link_that_is_forged_or_too_old_mutes_nothing(client, store, key_ring, now, tmp_path):
    muting = Muting(store, key_ring, now)
    forged = Muting(store, KeyRing(tmp_path / "other.key"), now).path("guest", "f1")
    stolen = f"/api/mute/{key_ring.encrypt('guest', 'password').decode()}"
    old = muting.path("guest", "f1")
    now.advance(days=8)

    for path in (forged, stolen, old, "/api/mute/x"):
        assert client.post(path).status_code == 404, path
        assert client.get(path).status_code == 404
    assert muted(store) == set()


def test_events_of_today_are_not_too_old(store, happens):
    happens(1)
    with store.read() as connection:
        age = (datetime.now(UTC) - NOW).total_seconds()
        assert not events.any_older(connection, age + 60)
        assert events.any_older(connection, age - 60)
