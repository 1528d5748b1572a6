from __future__ import annotations

import json

import pytest
import requests

from tracker_service.sandbox.server import SandboxServer


def post(sandbox: SandboxServer, body: bytes) -> int:
    return requests.post(f"{sandbox.root_url}/receiver", data=body, timeout=60).status_code


def test_the_receiver_prints_what_a_person_wants_to_know(capsys):
    event = {
        "id": "1",
        "type": "tracker.job.failed",
        "subject": "0000002-W",
        "data": {
            "name": "daily\x1b[31m",
            "cause": {"summary": "No file.", "hint": "Look.", "evidence": [{"text": "Errno 2"}]},
            "links": {"logs": "http://t/api/job/0000002-W/logs"},
        },
    }
    with SandboxServer() as sandbox:
        assert post(sandbox, json.dumps(event).encode()) == 204
        assert list(sandbox.gateway.receiver.ids) == ["1"]

    assert capsys.readouterr().out.splitlines() == [
        "--- tracker.job.failed: daily?[31m",
        "    No file. Look.",
        "    > Errno 2",
        "    http://t/api/job/0000002-W/logs",
    ]


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b'{"data": 1}', b'{"type": "a", "data": {}}'])
def test_the_receiver_refuses_what_is_no_event(body, capsys):
    with SandboxServer() as sandbox:
        assert post(sandbox, body) == 400
    assert capsys.readouterr().out == ""
