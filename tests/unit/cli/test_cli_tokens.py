"""The verbs that look after notification tokens, in front of a loopback server."""

from __future__ import annotations

import json

from tests.unit.cli.test_cli_jobs import environment, says, tracker
from tests.unit.loopback_server import Reply

__all__ = ["environment", "tracker"]

URL = "https://tracker.example.com/api/notify/s3cr3t?id=$jobId&status=$status"
KNOWN = {"id": "3f9a01c2d4e5", "created": "2026-11-22T05:00:00.000+00:00", "used": None}
PROPERTIES = {
    "oozie.wf.workflow.notification.url": URL,
    "oozie.coord.action.notification.url": URL.replace("$jobId", "$actionId"),
}
NEW = KNOWN | {"token": "s3cr3t", "url": URL, "properties": PROPERTIES}


def test_a_new_token_is_printed_as_what_is_to_be_set_in_a_job(tracker, loopback):
    loopback.says(says(NEW, 201))

    told = tracker("notify-token", "create")

    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines() == [f"{name}={url}" for name, url in PROPERTIES.items()]
    assert "3f9a01c2d4e5" in told.stderr
    assert (loopback.asked[0].method, loopback.asked[0].path) == ("POST", "/api/notify-tokens")
    assert json.loads(tracker("notify-token", "create", "--output", "json").stdout) == NEW


def test_a_token_that_could_not_be_made_is_not_asked_for_again(tracker, loopback):
    loopback.says(Reply(503, headers={"Retry-After": "0"}))

    assert tracker("notify-token", "create").exit_code == 2
    assert len(loopback.asked) == 1


def test_tokens_are_listed(tracker, loopback):
    loopback.says(*[says([KNOWN, KNOWN | {"id": "0" * 12, "used": "2026-11-23"}])] * 2)

    told = tracker("notify-token", "list")

    assert told.stdout.splitlines() == [
        "TOKEN         CREATED                        LAST USED",
        "3f9a01c2d4e5  2026-11-22T05:00:00.000+00:00  -",
        "000000000000  2026-11-22T05:00:00.000+00:00  2026-11-23",
    ]
    assert json.loads(tracker("notify-token", "list", "--output", "json").stdout)[0] == KNOWN


def test_that_there_is_no_token_is_said(tracker, loopback):
    loopback.says(says([]))

    assert tracker("notify-token", "list").stdout == "no notification tokens\n"


def test_tokens_are_revoked(tracker, loopback):
    loopback.says(Reply(204))

    told = tracker("notify-token", "revoke", "3f9a01c2d4e5", "000000000000")

    assert told.stdout.splitlines() == ["3f9a01c2d4e5 is revoked", "000000000000 is revoked"]
    assert [(asked.method, asked.path) for asked in loopback.asked] == [
        ("DELETE", "/api/notify-tokens/3f9a01c2d4e5"),
        ("DELETE", "/api/notify-tokens/000000000000"),
    ]


def test_a_token_that_there_is_not_cannot_be_revoked(tracker, loopback):
    loopback.says(says({"message": "guest has no notification token x."}, 404))

    told = tracker("notify-token", "revoke", "x")

    assert (told.exit_code, told.stdout) == (1, "")
    assert "guest has no notification token x." in told.stderr
