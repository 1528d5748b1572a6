from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fakes import job
from tests.unit.loopback_server import Reply
from tracker_service.errors import GatewayError
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.gateway import Gateway
from tracker_service.sources.oozie import Oozie

STATES = {job(1): "RUNNING", job(2): "KILLED", job(3): "SUCCEEDED"}
BEANS = [
    {"id": each, "status": state, "run": 0, "appName": "a", "user": "guest", "actions": []}
    for each, state in STATES.items()
]
WHOLE = json.dumps({"total": 3, "len": 100, "offset": 1, "workflows": BEANS}).encode()
PAGE = b"<html><title>Error 500 Service connectivity error.</title></html>"

cut = st.integers(0, len(WHOLE) - 1)
faults = st.one_of(
    cut.map(lambda end: Reply(200, WHOLE[:end])),  # as if it were all
    cut.map(lambda end: Reply(200, WHOLE[:end], length=len(WHOLE))),
    st.sampled_from(["", "{}", "[]", "null", "{", '"a"']).map(
        lambda text: Reply(200, text.encode())
    ),
    st.sampled_from([200, 500, 502, 503]).map(lambda status: Reply(status, PAGE)),
    st.sampled_from([401, 403, 404, 503]).map(lambda status: Reply(status, b"")),
    st.just(Reply(302, b"", {"Location": "http://192.0.2.1/login"})),
)
replies = st.lists(st.one_of(faults, st.just(Reply(200, WHOLE))), min_size=1, max_size=5)


@pytest.mark.slow
@given(replies=replies)
def test_what_is_no_whole_answer_is_never_taken_for_one(loopback, open_session, replies):
    loopback.asked.clear()
    loopback.says(*replies)
    gateway = Gateway(url=f"{loopback.origin}/gateway/sandbox", read_timeout_s=120)
    oozie = Oozie(open_session(gateway, BasicCredential("guest", "guest-password")), 100)

    for _ in range(5):
        try:
            seen = oozie.chunk(list(STATES))
        except GatewayError:
            continue
        assert {each: found.status for each, found in seen.items()} == STATES
