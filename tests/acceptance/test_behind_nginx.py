"""`config/nginx.conf` and `config/gunicorn.conf.py` as they stand, run by nginx and gunicorn."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import create_connection
from typing import Any

import pytest
import requests

from tests.acceptance.proxied import NGINX, Front, gunicorn
from tests.acceptance.service import RunningService
from tests.ports import free_port
from tests.stands import SandboxStand, access, sandbox_stand
from tests.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        NGINX is None and not os.environ.get("CI"), reason="no nginx: apt-get install nginx-core"
    ),
]
BIG = bytes(range(256)) * 256 * 1024  # 64 MiB
LIES = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example.com",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil",
}


class Proxied:
    """A service that is reached through nginx."""

    def __init__(self, front: Front, service: RunningService, stand: SandboxStand) -> None:
        self.front, self.service, self.stand = front, service, stand
        self.api = f"{front.url}/tracker/api"
        self._log = front.home.parent / "gunicorn.log"

    def logged(self, request_id: str) -> list[dict[str, Any]]:
        """Return what is written of one request at its end."""
        lines = map(json.loads, self._log.read_text().splitlines())
        ended = (line for line in lines if line["event"] == "request")
        return [line for line in ended if line.get("request_id") == request_id]

    def saved_job(self) -> str:
        """Return a job that failed, whose log is saved."""
        job = self.stand.start("fail")
        with self.front.session("guest") as guest:
            answer = guest.post(f"{self.api}/task/track/", json=[job], timeout=120)
        assert answer.status_code == 200, answer.text
        self.service.wait_saved(job)
        return job

    def big_job(self) -> str:
        """Return a job whose saved log is big."""
        job = self.saved_job()
        hdfs = access(self.stand).hdfs
        [file] = [f for f in hdfs.list(f"/user/guest/WORK/logs/{job}") if f.name.endswith(".log")]
        hdfs.write(f"/user/guest/WORK/logs/{job}/{file.name}", BIG)
        hdfs._session.close()
        return job


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """The sandbox, a worker, gunicorn with two threads, and nginx."""
    home = tmp_path_factory.mktemp("proxied")
    with ExitStack() as stack:
        stand = stack.enter_context(sandbox_stand())
        service = RunningService(stand, home / "state")
        stack.callback(service.end)
        bind = f"127.0.0.1:{free_port()}"
        environment = {
            "TRACKER_STATE_DIR": str(service.state_dir),
            "TRACKER_GATEWAY__URL": stand.url,
            "TRACKER_SERVE__BIND": bind,
            "TRACKER_SERVE__THREADS": "2",
            "TRACKER_LOG_FORMAT": "json",
        }
        stack.enter_context(gunicorn(home / "gunicorn.log", environment))
        front = stack.enter_context(Front(home / "nginx", bind).running())
        yield Proxied(front, service, stand)


@pytest.fixture
def guest(proxied: Proxied) -> Iterator[requests.Session]:
    with proxied.front.session("guest") as session:
        yield session


@pytest.fixture
def echo(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Front]:
    """An application that tells what it sees, behind the same files; `param`: trusted proxies."""
    bind = f"127.0.0.1:{free_port()}"
    environment = {
        "TRACKER_SERVE__BIND": bind,
        "TRACKER_SERVE__TRUSTED_PROXIES": getattr(request, "param", '["127.0.0.1"]'),
    }
    front = Front(tmp_path / "nginx", bind)
    with (
        gunicorn(tmp_path / "gunicorn.log", environment, "tests.acceptance.echo:app"),
        front.running(),
    ):
        yield front


def seen(front: Front, **headers: str) -> dict[str, str]:
    with front.session() as client:
        return client.get(f"{front.url}/tracker/seen", headers=headers, timeout=120).json()


def assert_problem(answer: requests.Response, status: int) -> dict[str, object]:
    told = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.status_code == told["status"] == told["status_code"] == status
    assert told["message"] == told["detail"]
    return told


def test_the_main_way_works_through_tls_and_below_the_prefix(
    proxied: Proxied, guest: requests.Session
) -> None:
    job = proxied.saved_job()

    answer = guest.get(f"{proxied.api}/job/{job}/logs", timeout=120)

    assert answer.content == proxied.service.get(f"job/{job}/logs").content
    assert b"FileNotFoundError" in answer.content
    assert guest.get(f"{proxied.front.url}/api/jobs/tracking", timeout=120).status_code == 404
    assert guest.get(f"{proxied.front.url}/tracker/healthz", timeout=120).ok


def test_urls_are_those_that_the_client_sees(echo: Front) -> None:
    assert seen(echo) == {"url": f"{echo.url}/tracker/seen", "client": "127.0.0.1"}


def test_what_a_client_says_in_the_name_of_a_proxy_is_overwritten(echo: Front) -> None:
    assert seen(echo, **LIES) == seen(echo)


@pytest.mark.parametrize("echo", ['["192.0.2.1"]'], indirect=True)
def test_a_proxy_that_is_not_listed_is_not_believed(echo: Front) -> None:
    port = echo.url.rpartition(":")[2]

    assert seen(echo) == {"url": f"http://localhost:{port}/seen", "client": "127.0.0.1"}


def test_a_proxy_that_may_open_the_unix_socket_is_believed(tmp_path: Path) -> None:
    bind = f"unix:{tmp_path}/api.sock"
    environment = {"TRACKER_SERVE__BIND": bind, "TRACKER_SERVE__TRUSTED_PROXIES": "[]"}
    front = Front(tmp_path / "nginx", bind)
    log = tmp_path / "gunicorn.log"

    with gunicorn(log, environment, "tests.acceptance.echo:app"), front.running():
        told = seen(front, **LIES)

    assert told == {"url": f"{front.url}/tracker/seen", "client": "127.0.0.1"}


def test_an_answer_that_breaks_off_does_not_look_whole(echo: Front) -> None:
    with (
        echo.session() as client,
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        client.get(f"{echo.url}/tracker/cut", timeout=120)


def test_an_answer_that_comes_too_late_is_told_like_other_errors(
    echo: Front, tmp_path: Path
) -> None:
    impatient = Front(tmp_path / "impatient", echo.behind, proxy_read_timeout="1s")
    with impatient.running(), impatient.session() as client:
        answer = client.get(f"{impatient.url}/tracker/late", timeout=120)

    assert "did not answer in time" in str(assert_problem(answer, 504)["message"])
    assert answer.headers["Retry-After"]


def test_a_tracker_that_is_away_is_told_like_other_errors(tmp_path: Path) -> None:
    front = Front(tmp_path / "nginx", f"127.0.0.1:{free_port()}")

    with front.running(), front.session("guest") as client:
        answer = client.get(f"{front.url}/tracker/api/jobs/tracking", timeout=120)

    assert "does not run" in str(assert_problem(answer, 502)["message"])
    assert answer.headers["Retry-After"]


def test_a_body_that_is_too_long_is_refused_in_the_same_words_by_nginx_and_by_the_service(
    proxied: Proxied, guest: requests.Session
) -> None:
    body, kind = b" " * (1024 * 1024 + 1), {"Content-Type": "text/plain"}

    by_nginx = guest.post(f"{proxied.api}/task/track/", data=body, headers=kind, timeout=120)
    by_service = proxied.service.post(body.decode())

    assert assert_problem(by_nginx, 413) == assert_problem(by_service, 413)


def test_clients_that_send_slowly_hold_no_thread(proxied: Proxied, guest: requests.Session) -> None:
    slow = [_begin_a_post(proxied.front) for _ in range(8)]  # gunicorn has two threads

    answer = guest.get(f"{proxied.api}/jobs/tracking", timeout=45)  # nginx gives them up after 60

    assert answer.status_code == 200
    for each in slow:
        each.close()


def test_slow_readers_of_one_user_keep_nobody_else_out(proxied: Proxied) -> None:
    path = f"/tracker/api/job/{proxied.big_job()}/logs"
    slow = [_begin(proxied.front, f"GET {path} HTTP/1.1", "") for _ in range(40)]

    with proxied.front.session("sam") as sam:
        assert sam.get(f"{proxied.front.url}/tracker/healthz", timeout=45).status_code == 200
        assert sam.get(f"{proxied.api}/jobs/tracking", timeout=45).status_code == 200
    for each in slow:
        each.close()


def test_a_client_that_asks_too_much_is_told_and_monitors_are_not_counted(
    proxied: Proxied,
) -> None:
    once_a_minute = "$tracker_address zone=tracker_requests:4m rate=1r/m"
    front = Front(
        proxied.front.home.parent / "strict",
        proxied.front.behind,
        limit_req_zone=once_a_minute,
        limit_req="zone=tracker_requests",
    )
    with front.running(), front.session("guest") as guest:
        first, second = (
            guest.get(f"{front.url}/tracker/api/jobs/tracking", timeout=120) for _ in range(2)
        )
        assert guest.get(f"{front.url}/tracker/healthz", timeout=120).status_code == 200

    assert first.status_code == 200
    assert_problem(second, 429)
    assert second.headers["Retry-After"] == "1"


def test_a_big_log_goes_through_without_a_file(proxied: Proxied, guest: requests.Session) -> None:
    job = proxied.big_job()
    came = hashlib.sha256()

    with guest.get(f"{proxied.api}/job/{job}/logs", stream=True, timeout=120) as answer:
        for piece in answer.iter_content(1024 * 1024):
            came.update(piece)

    assert came.digest() == hashlib.sha256(BIG).digest()
    assert "temporary file" not in proxied.front.errors()


def test_a_request_is_logged_with_its_client_and_with_the_id_in_its_answer(
    proxied: Proxied, guest: requests.Session
) -> None:
    answer = guest.get(f"{proxied.api}/jobs/tracking", headers=LIES, timeout=120)

    [line] = until(lambda: proxied.logged(answer.headers["X-Request-ID"]))
    assert line["event"] == "request"
    assert (line["client"], line["user"], line["status"]) == ("127.0.0.1", "guest", 200)
    assert line["path"] == "/api/jobs/tracking"


def test_a_notification_comes_through_and_no_log_has_its_token(
    proxied: Proxied, guest: requests.Session
) -> None:
    made = guest.post(f"{proxied.api}/notify-tokens", timeout=120).json()
    url, job = made["url"], proxied.stand.start("sleep")
    assert url.startswith(f"{proxied.api}/notify/{made['token']}?")
    with proxied.front.session() as oozie:
        answer = oozie.get(url.replace("$jobId", job), timeout=120)
        assert (answer.status_code, answer.json()["id"]) == (200, job)
        assert oozie.get(url.replace("$jobId", "x"), timeout=120).status_code == 400

    until(lambda: proxied.logged(answer.headers["X-Request-ID"]))
    seen = until(proxied.front.accesses, lambda lines: "/api/notify/" in lines)
    assert f'"GET /tracker/api/notify/***?id={job}&status=$status HTTP/1.1" 200' in seen
    assert made["token"] not in seen + proxied.front.errors()
    assert made["token"] not in (proxied.front.home.parent / "gunicorn.log").read_text()


def test_while_the_tracker_is_away_no_log_has_the_token_of_a_notification(tmp_path: Path) -> None:
    front = Front(tmp_path / "nginx", f"127.0.0.1:{free_port()}")
    with front.running(), front.session() as oozie:
        answer = oozie.get(f"{front.url}/tracker/api/notify/s3cr3t?id=1", timeout=120)
        oozie.get(f"{front.url}/tracker/api/notified", timeout=120)
        assert_problem(answer, 502)
        until(lambda: "notified" in front.errors() and "notified" in front.accesses())

    assert "s3cr3t" not in front.errors() + front.accesses()


def test_a_client_that_goes_away_ends_the_reading_of_its_log(
    proxied: Proxied, guest: requests.Session
) -> None:
    job = proxied.big_job()

    answer = guest.get(f"{proxied.api}/job/{job}/logs", stream=True, timeout=120)
    assert answer.raw.read(100)
    assert not proxied.logged(answer.headers["X-Request-ID"])  # it waits until we read on
    answer.close()

    [line] = until(lambda: proxied.logged(answer.headers["X-Request-ID"]))
    assert (line["cut"], line["job"]) == ("the client went away", job)
    assert line["bytes"] < len(BIG)


def _begin_a_post(front: Front) -> ssl.SSLSocket:
    """Send the head of a request and a part of its body."""
    head = "Content-Type: text/plain\r\nContent-Length: 1000\r\n"
    connection = _begin(front, "POST /tracker/api/task/track/ HTTP/1.1", head)
    connection.sendall(b"0000001-")
    return connection


def _begin(front: Front, request_line: str, headers: str) -> ssl.SSLSocket:
    """Send the head of a request of guest, and read nothing."""
    context = ssl.create_default_context(cafile=front.ca_file)
    port = int(front.url.rpartition(":")[2])
    connection = context.wrap_socket(
        create_connection(("localhost", port)), server_hostname="localhost"
    )
    connection.sendall(
        f"{request_line}\r\nHost: localhost\r\n"
        f"Authorization: Basic Z3Vlc3Q6Z3Vlc3QtcGFzc3dvcmQ=\r\n{headers}\r\n".encode()
    )
    return connection
