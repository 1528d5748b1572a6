from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from flask import Flask, Response
from flask.testing import FlaskClient

from tests.unit.calls import GUEST, get, post
from tests.unit.fakes import job
from tests.unit.logged import Logged, logged
from tracker_service.api import request_log
from tracker_service.errors import GatewayUnavailable
from tracker_service.tracking.lookup import Lookup

OURS, STRANGER = {"REMOTE_ADDR": "127.0.0.1"}, {"REMOTE_ADDR": "192.0.2.66"}


@pytest.fixture
def log() -> Iterator[Logged]:
    with logged() as log:
        yield log


@pytest.fixture
def closed() -> list[bool]:
    """Has an entry for each stream of `streams` that was closed."""
    return []


@pytest.fixture
def streams(closed: list[bool]) -> FlaskClient:
    """An application whose answers are streams: a whole one, and one that breaks off."""
    app = Flask("streams")
    request_log.register(app)

    def pieces(last: Exception | None = None) -> Iterator[bytes]:
        try:
            yield b"12345"
            yield b"67890"
            if last:
                raise last
        finally:
            closed.append(True)

    app.get("/whole", endpoint="whole")(lambda: Response(pieces()))
    app.get("/broken", endpoint="broken")(
        lambda: Response(pieces(GatewayUnavailable("10 bytes came of 1000")))
    )
    return app.test_client()


@pytest.fixture(autouse=True)
def known(oozie):
    """The jobs of the fake Oozie."""


def test_each_request_is_one_line(client, log):
    answer = get(client, f"/api/job/{job(1)}/status", environ_base=STRANGER)

    [line] = log.of("request")
    assert line.pop("timestamp")
    assert line.pop("seconds") >= 0
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": answer.headers["X-Request-ID"],
        "job": job(1),
        "method": "GET",
        "path": "/api/job/<job_id>/status",
        "status": 200,
        "bytes": len(answer.data),
        "user": "guest",
        "client": "192.0.2.66",
    }


def test_all_lines_of_a_request_have_its_id_and_the_one_job_that_was_posted(client, log):
    answer = post(client, job(1))

    assert [line["event"] for line in log.lines] == ["tracked", "request"]
    assert {line["request_id"] for line in log.lines} == {answer.headers["X-Request-ID"]}
    assert {line["job"] for line in log.lines} == {job(1)}


def test_what_is_bound_to_one_request_is_not_in_the_next(client, log):
    first, second = post(client, job(1)), get(client, "/api/jobs/tracking")

    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
    assert "job" not in log.of("request")[-1]


def test_the_id_that_a_proxy_gives_a_request_is_kept(client, log):
    answer = get(client, "/nothing", headers={"X-Request-ID": "d34db33f-1"}, environ_base=OURS)

    assert answer.headers["X-Request-ID"] == "d34db33f-1"
    assert log.of("request")[0]["request_id"] == "d34db33f-1"


@pytest.mark.parametrize(
    ("given", "peer"),
    [("d34db33f-1", STRANGER), ("short", OURS), ("x" * 65, OURS), ('"level":"info"', OURS)],
)
def test_another_id_is_not_kept(client, log, given, peer):
    answer = get(client, "/nothing", headers={"X-Request-ID": given}, environ_base=peer)

    assert len(answer.headers["X-Request-ID"]) == 32
    assert given not in log.text


def test_an_error_is_one_line_too_and_says_who_was_refused_nothing(client, log):
    answer = get(client, "/api/jobs/tracking", auth=("guest", "wrong"))

    [line] = log.of("request")
    assert (line["status"], line["user"]) == (401, None)
    assert answer.headers["X-Request-ID"] == line["request_id"]


def test_an_unexpected_error_can_be_found_by_the_id_in_its_answer(client, log, monkeypatch):
    monkeypatch.setattr(Lookup, "tracking", lambda *_, **__: 1 / 0)

    answer = get(client, "/api/jobs/tracking")

    [broke] = log.of("request_broke")
    assert broke["request_id"] == answer.headers["X-Request-ID"]
    assert "ZeroDivisionError" in broke["exception"]


def test_a_path_that_nobody_has_is_cut(client, log):
    get(client, "/" + "x" * 5000)

    [line] = log.of("request")
    assert len(line["path"]) == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_what_machines_ask_every_few_seconds_is_not_told(client, path):
    with logged("INFO") as usual:
        get(client, path)
    with logged("DEBUG") as talkative:
        get(client, path)

    assert usual.of("request") == []
    assert [line["path"] for line in talkative.of("request")] == [path]


def test_a_stream_is_told_at_its_end_with_all_that_went_out(streams, log):
    with streams.get("/whole") as answer:
        assert log.of("request") == []
        assert answer.data == b"1234567890"

    [line] = log.of("request")
    assert line["bytes"] == 10
    assert "cut" not in line


def test_a_stream_that_breaks_off_is_told_with_the_reason(streams, log):
    answer = streams.get("/broken")
    with pytest.raises(GatewayUnavailable):
        answer.get_data()
    answer.close()

    [line] = log.of("request")
    assert (line["bytes"], line["cut"]) == (10, "10 bytes came of 1000")


def test_a_client_that_goes_away_is_told_and_what_is_behind_is_closed(streams, closed, log):
    answer = streams.get("/whole")  # which takes the first piece
    answer.close()

    [line] = log.of("request")
    assert (line["bytes"], line["cut"]) == (5, "the client went away")
    assert closed == [True]


def test_a_stream_that_is_asked_for_its_head_alone_is_not_cut(streams, log):
    streams.head("/whole").close()

    [line] = log.of("request")
    assert line["bytes"] == 0
    assert "cut" not in line


def test_whatever_happens_no_password_is_logged(client, log, monkeypatch):
    secret, wrong = GUEST[1], "wr0ng-passw0rd"
    post(client, job(1))
    post(client, job(1), auth=("guest", wrong))
    get(client, f"/api/jobs/tracking?token={wrong}", headers={"Cookie": f"hadoop-jwt={wrong}"})
    get(client, f"/nothing/https://guest:{wrong}@knox/")

    def breaks(*_, **__):
        raise ValueError(f"https://guest:{secret}@knox refused Authorization: Basic {wrong}")

    monkeypatch.setattr(Lookup, "tracking", breaks)
    assert get(client, "/api/jobs/tracking").status_code == 500

    assert len(log.of("request")) == 5
    assert log.of("request_broke")
    assert secret not in log.text
    assert wrong not in log.text


def test_what_a_request_bound_does_not_outlive_it(client, log):
    post(client, job(1))

    assert structlog.contextvars.get_contextvars() == {}
