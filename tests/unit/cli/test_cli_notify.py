"""The verbs for events, in front of a loopback server."""

from __future__ import annotations

import json

from tests.unit.cli.test_cli_jobs import environment, says, tracker
from tests.unit.loopback_server import Reply

__all__ = ["environment", "tracker"]

NEW = {"id": "3f9a01c2d4e5", "secret": "whsec_AAAA"}
KNOWN = {
    "id": "3f9a01c2d4e5",
    "sink": "webhook",
    "to": "hooks.example.com",
    "wants": {"types": ["tracker.job.failed"], "only-new": True},
    "created": "2026-11-22T05:00:00.000+00:00",
    "trouble": None,
}
DELIVERY = {
    "id": 17,
    "subscription": "3f9a01c2d4e5",
    "event": "98471290-0056-4311-ab89-358a780b3d51",
    "type": "tracker.job.failed",
    "subject": "0000042-261122041514971-oozie-prod-W",
    "state": "dead",
    "attempts": 3,
    "next-try": None,
    "answer": "410 Gone\x1b[31m",
    "created": "2026-11-22T05:00:00.000+00:00",
    "ended": "2026-11-22T05:00:01.000+00:00",
}


def test_a_new_subscription_sends_what_was_wished_and_prints_its_secret(tracker, loopback):
    loopback.says(says(NEW, 201))

    told = tracker(
        *("notify", "add", "https://hooks.example.com/x", "--type", "tracker.logs.*"),
        *("--only-new", "--quiet", "22:00-07:00", "--zone", "Europe/Berlin"),
    )

    assert told.exit_code == 0, told.output
    assert "secret       whsec_AAAA" in told.stdout
    assert json.loads(loopback.asked[0].body) == {
        "sink": {"type": "webhook", "url": "https://hooks.example.com/x"},
        "types": ["tracker.logs.*"],
        "only-new": True,
        "quiet": {"begin": "22:00", "end": "07:00", "zone": "Europe/Berlin"},
    }
    assert tracker("notify", "add", "x", "--quiet", "22").exit_code == 2


def test_an_address_gets_mail_and_has_no_secret(tracker, loopback):
    loopback.says(says({"id": "3f9a01c2d4e5", "secret": None}, 201))

    told = tracker("notify", "add", "you@example.com", "--type", "tracker.job.failed")

    assert told.stdout == "subscription 3f9a01c2d4e5\n"
    assert json.loads(loopback.asked[0].body) == {
        "sink": {"type": "mail", "to": "you@example.com"},
        "types": ["tracker.job.failed"],
    }


def test_a_user_in_a_url_makes_no_address_of_it(tracker, loopback):
    loopback.says(says(NEW, 201))

    tracker("notify", "add", "https://me@hooks.example.com/x")

    assert json.loads(loopback.asked[0].body)["sink"]["type"] == "webhook"


def test_subscriptions_are_listed_in_words(tracker, loopback):
    loopback.says(says([KNOWN]), says([]))

    assert tracker("notify", "list").stdout.splitlines()[1].split() == [
        *("3f9a01c2d4e5", "webhook", "hooks.example.com"),
        *("types", "tracker.job.failed;", "only-new", "-"),
    ]
    assert tracker("notify", "list").stdout == "no subscriptions: tracker notify add URL|ADDRESS\n"


def test_subscriptions_are_tried_removed_and_families_muted(tracker, loopback):
    loopback.says(
        says({"event": "e1"}, 202),
        Reply(204),
        says({"fingerprint": "f1", "until": "tomorrow"}),
        Reply(204),
        says(NEW),
    )

    assert "event e1 is on its way" in tracker("notify", "test", "3f9a01c2d4e5").stdout
    assert "is removed" in tracker("notify", "remove", "3f9a01c2d4e5").stdout
    assert "until tomorrow" in tracker("notify", "mute", "f1", "--hours", "8").stdout
    assert "are sent again" in tracker("notify", "unmute", "f1", "--site").stdout
    assert tracker("notify", "rotate", "3f9a01c2d4e5").stdout == "secret       whsec_AAAA\n"
    assert [(asked.method, asked.path) for asked in loopback.asked] == [
        ("POST", "/api/subscriptions/3f9a01c2d4e5/test"),
        ("DELETE", "/api/subscriptions/3f9a01c2d4e5"),
        ("POST", "/api/failures/f1/mute"),
        ("DELETE", "/api/failures/f1/mute"),
        ("POST", "/api/subscriptions/3f9a01c2d4e5/secret"),
    ]
    assert loopback.asked[3].query == {"site": "true"}
    assert json.loads(loopback.asked[2].body) == {"hours": 8.0, "site": False}


def test_deliveries_are_shown_without_what_controls_a_terminal(tracker, loopback):
    loopback.says(says([DELIVERY]), says([]))

    told = tracker("deliveries", "--failed")

    assert "dead" in told.stdout
    assert "410 Gone?[31m" in told.stdout
    assert loopback.asked[0].query["state"] == "dead"
    assert tracker("deliveries").stdout == "nothing was sent\n"


def test_deliveries_are_replayed(tracker, loopback):
    loopback.says(says({"replayed": 2}), says({"replayed": 5}))

    assert "2 deliveries" in tracker("deliveries", "replay", "17", "18").stdout
    assert "5 deliveries" in tracker("deliveries", "replay", "--site").stdout
    assert [json.loads(asked.body) for asked in loopback.asked] == [
        {"site": False, "ids": [17, 18]},
        {"site": True},
    ]
    assert tracker("deliveries", "again").exit_code == 2
    assert tracker("deliveries", "replay", "x").exit_code == 2
