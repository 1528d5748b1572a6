from __future__ import annotations

import gzip
import json
import socket
import time
from ipaddress import ip_network

import pytest

from tests.unit.checks.endpoints import hang, http, server_tls
from tests.unit.tls import DAY, Authority
from tracker_service.checks.probe import Prober
from tracker_service.checks.reach import NotAllowedHere, Reach

OK = {"success_test": {"key": "status", "value": "ok"}, "response_json_values": ["status", "none"]}


def probe(check):
    return Prober(Reach()).probe(check)


def test_an_answer_is_judged_and_its_values_are_kept(endpoint, check):
    found = probe(check(f"{endpoint(http()).authority}/health?a=1", **OK))

    assert found.is_ok
    assert found.error is None
    assert found.status == 200
    assert found.values == {"status": "ok", "none": None}
    assert found.missing == 1
    assert set(found.phases) == {"resolve", "connect", "processing", "transfer"}


def test_headers_method_and_body_are_sent(endpoint, check):
    server = endpoint(http())
    found = probe(
        check(f"{server.authority}/x?y=1", method="POST", headers={"X-A": "b"}, body="hello")
    )

    assert found.is_ok
    [request] = server.requests
    assert request.startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    assert b"X-A: b\r\n" in request
    assert request.endswith(b"hello")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http(status=500), "it answered 500"),
        (http(b'{"status": "bad"}'), "status is 'bad', not eq 'ok'"),
        (http(b"\x00\xff\xfe"), "its answer is no JSON"),
        (http(b"[" * 100_000), "its answer is no JSON"),
        (http(b"1" * 2_000_000), "its answer is longer than 1048576 bytes"),
        (
            http(gzip.compress(b" " * 50_000_000), 200, "Content-Encoding: gzip"),
            "its answer is longer than 1048576 bytes",
        ),
        (http(b"no gzip", 200, "Content-Encoding: gzip"), "its answer cannot be unpacked"),
        (lambda c, _: c.sendall(b"hello\r\n\r\n"), "it does not speak HTTP: BadStatusLine: hello"),
        (lambda c, _: None, "it does not speak HTTP: RemoteDisconnected"),
        (
            lambda c, _: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
            "its answer lacks 8",
        ),
        (lambda c, _: c.sendall(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000), "it does not speak"),
    ],
)
def test_a_bad_answer_is_named(endpoint, check, answer, error):
    found = probe(check(endpoint(answer).authority, **OK))

    assert not found.is_ok
    assert found.error.startswith(error)
    assert not found.is_unreachable


def test_an_answer_without_an_end_costs_no_more_than_its_time(endpoint, check):
    def drip(connected: socket.socket, _request: bytes) -> None:
        connected.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connected.sendall(b" ")
            time.sleep(0.01)

    found = probe(check(endpoint(drip).authority, timeout="300ms", **OK))
    assert found.error == "it did not answer in time"


def test_headers_without_an_end_cost_no_more_than_their_time(endpoint, check):
    def drip(connected: socket.socket, _request: bytes) -> None:
        while True:
            connected.sendall(b"H")
            time.sleep(0.01)

    found = probe(check(endpoint(drip).authority, timeout="300ms"))
    assert found.error == "it did not answer in time"


def test_an_endpoint_that_hangs_is_asked_for_its_time_alone(endpoint, check):
    found = probe(check(endpoint(hang).authority, timeout="200ms"))
    assert found.error == "it did not answer in time"
    assert not found.is_unreachable


def test_no_connection_is_told_from_a_bad_answer(check):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = probe(check(f"127.0.0.1:{port}"))

    assert found.is_unreachable
    assert found.error == f"no connection to 127.0.0.1:{port}: Connection refused"


def test_a_name_without_an_address_is_unreachable(check):
    found = probe(check("nothing.invalid"))
    assert found.is_unreachable
    assert found.error.startswith("nothing.invalid has no address: ")


def test_redirects_are_followed_without_the_secrets_of_another_host(endpoint, check):
    other = endpoint(http())
    place = f"Location: http://localhost:{other.port}/there"
    first = endpoint(http(b"", 302, place))

    found = probe(check(first.authority, headers={"Authorization": "secret", "X-A": "b"}, **OK))

    assert found.is_ok
    assert b"secret" in first.requests[0]
    assert b"secret" not in other.requests[0]
    assert b"X-A: b" in other.requests[0]


def test_redirects_are_not_followed_where_that_is_not_wanted(endpoint, check):
    server = endpoint(http(b"", 302, "Location: /x"))
    found = probe(check(server.authority, follow_redirects=False, status_code=302))
    assert found.is_ok


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("/", "its redirects go in a circle"),
        ("file:///etc/passwd", "it redirects to file:, which is not followed"),
        ("http://169.254.169.254/latest", "169.254.169.254 leads to 169.254.169.254: an operator"),
    ],
)
def test_bad_redirects_are_named(endpoint, check, place, error):
    server = endpoint(http(b"", 302, f"Location: {place}"))
    found = probe(check(f"{server.authority}/"))
    assert found.error.startswith(error)


def test_many_redirects_have_an_end(endpoint, check):
    def on(connected: socket.socket, request: bytes) -> None:
        place = request.split()[1].decode() + "x"
        http(b"", 302, f"Location: {place}")(connected, request)

    found = probe(check(f"{endpoint(on).authority}/"))
    assert found.error == "it redirects more than 5 times"


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_addresses_of_metadata_are_refused(check, host):
    found = probe(check(f"{host}/latest/meta-data"))
    assert "an operator can allow it with checks.allowed_networks" in found.error
    assert not found.is_unreachable


def test_where_networks_are_named_there_are_no_others():
    reach = Reach([ip_network("10.0.0.0/8")])
    assert reach.places("10.1.2.3", 80)
    with pytest.raises(NotAllowedHere):
        reach.places("127.0.0.1", 80)


def test_a_certificate_is_verified_and_its_end_is_told(endpoint, check, tmp_path):
    authority = Authority(tmp_path)
    server = endpoint(http(), tls=server_tls(*authority.certificate(lasts=10 * DAY)))
    place, trusted = f"https://{server.authority}/", str(authority.file)

    found = probe(
        check(
            place, ca_file=trusted, success_test={"key": "certificate_days", "op": "gt", "value": 9}
        )
    )
    assert found.is_ok, found.error
    assert "tls" in found.phases
    assert probe(check(place)).error.startswith("its certificate is refused: ")
    unverified = probe(check(place, verify=False))
    assert unverified.is_ok
    assert unverified.certificate_until == found.certificate_until


def test_a_failure_is_tried_again_as_often_as_wanted(endpoint, check):
    answers = [http(status=503), http()]

    def next_one(connected: socket.socket, request: bytes) -> None:
        answers.pop(0)(connected, request)

    server = endpoint(next_one)
    assert probe(check(server.authority, retries=1)).is_ok
    assert len(server.requests) == 2


def test_long_values_are_cut(endpoint, check):
    body = json.dumps({"status": "ok", "none": "x" * 5000}).encode()
    found = probe(check(endpoint(http(body)).authority, **OK))
    assert len(found.values["none"]) == 1001
