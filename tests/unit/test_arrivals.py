from __future__ import annotations

import pytest

from tracker_service.arrivals import Arrival, Arriving

MOST = 1000
HEAD = b"POST /api/task/track/ HTTP/1.1\r\nHost: tracker\r\n%s\r\n"
CHUNKED = HEAD % b"Transfer-Encoding: chunked\r\n"
WHOLE = [
    b"GET /api/jobs HTTP/1.1\r\n\r\n",
    HEAD % b"Content-Length: 4\r\n" + b"four",
    HEAD % b"content-length : 0\r\n",
    CHUNKED + b"0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
    CHUNKED + b"1\r\na\r\n0\r\nTrailer: 7\r\n\r\n",
]


def _of(data: bytes) -> Arriving:
    arriving = Arriving(MOST)
    arriving.take(data)
    return arriving


@pytest.mark.parametrize("request_line", ["GET /healthz", "HEAD /healthz", "GET /readyz?verbose=1"])
def test_monitors_are_told_from_others(request_line):
    assert _of(f"{request_line} HTTP/1.1\r\n\r\n".encode()).is_for_health


@pytest.mark.parametrize("request_line", ["GET /healthz-not", "POST /healthz", "GET /api/healthz"])
def test_others_get_no_thread_of_the_monitors(request_line):
    assert not _of(f"{request_line} HTTP/1.1\r\n\r\n".encode()).is_for_health


@pytest.mark.parametrize("data", WHOLE)
def test_a_request_is_whole_with_its_last_byte_however_it_comes(data):
    arriving = Arriving(MOST)

    told = [arriving.take(data[at : at + 1]) for at in range(len(data))]

    assert told == [Arrival.WAITS] * (len(data) - 1) + [Arrival.WHOLE]
    assert Arriving(MOST).take(data) is Arrival.WHOLE
    assert Arriving(MOST).take(data + data) is Arrival.WHOLE


@pytest.mark.parametrize("size", [b"3e9", b"3E8\r\n" + b"x" * 1000 + b"\r\n1", b"ffffffff"])
def test_chunks_beyond_the_limit_are_too_long_before_they_come(size):
    assert Arriving(MOST).take(CHUNKED + size + b"\r\n") is Arrival.TOO_LONG


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 70_000,
        HEAD % b"Content-Length: 1001\r\n",
        CHUNKED + b"no size\r\n",
        CHUNKED + b"1" * 5000,
        CHUNKED + b"0\r\n" + b"x" * 5000,
    ],
)
def test_what_gunicorn_or_the_application_refuses_is_not_waited_for(data):
    arriving = Arriving(MOST)
    pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]

    assert Arrival.WHOLE in [arriving.take(piece) for piece in pieces]
    assert len(arriving.data) < 72_000


@pytest.mark.parametrize(("header", "awaits"), [(b"Expect: 100-continue\r\n", True), (b"", False)])
def test_a_client_that_waits_for_a_word_is_seen(header, awaits):
    assert _of(HEAD % (header + b"Content-Length: 4\r\n")).awaits_word is awaits
