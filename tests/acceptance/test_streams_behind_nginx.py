"""Events come through nginx with `config/nginx.conf` as they happen, however long it is silent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import requests

from tests.acceptance.proxied import NGINX, Front, gunicorn
from tests.acceptance.service import RunningService
from tests.ports import free_port
from tests.stands import SandboxStand
from tests.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        NGINX is None and not os.environ.get("CI"), reason="no nginx: apt-get install nginx-core"
    ),
]
_OF_GUEST = "SELECT sequence FROM events WHERE owner = 'guest' ORDER BY sequence"
NGINX_WAITS_S = 4  #: for the tracker to say something; a heartbeat comes each half second


class Stream:
    """A stream of events through nginx, read by a thread."""

    def __init__(self, front: Front, last: str | None = None) -> None:
        self._session = front.session("guest")
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        self.answer = self._session.get(
            f"{front.url}/tracker/api/events", headers=headers, stream=True, timeout=120
        )
        self.ids: list[str] = []
        self.heartbeats = 0
        self.is_over = False
        self._thread = Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in map(bytes.decode, self.answer.iter_lines(chunk_size=1)):
                self.heartbeats += line == ": still here"
                if line.startswith("id: "):
                    self.ids.append(line.removeprefix("id: "))
        except requests.RequestException:
            pass  # nginx was ended
        self.is_over = True

    def join(self) -> None:
        self._thread.join()
        self._session.close()


@pytest.fixture
def service(sandbox: SandboxStand, tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(sandbox, tmp_path / "state")
    yield running
    running.end()


@pytest.fixture
def behind(sandbox: SandboxStand, service: RunningService, tmp_path: Path) -> Iterator[str]:
    """The place of a gunicorn of this service."""
    bind = f"127.0.0.1:{free_port()}"
    environment = {
        "TRACKER_STATE_DIR": str(service.state_dir),
        "TRACKER_GATEWAY__URL": sandbox.url,
        "TRACKER_SERVE__BIND": bind,
    }
    log = tmp_path / "gunicorn.log"
    with gunicorn(log, environment, "tests.acceptance.quick_heartbeats:app"):
        yield bind


def test_a_stream_is_not_buffered_outlives_silence_and_goes_on_after_a_cut(
    sandbox: SandboxStand, service: RunningService, behind: str, tmp_path: Path
) -> None:
    waits = f"{NGINX_WAITS_S}s"
    front = Front(tmp_path / "nginx", behind, proxy_read_timeout=waits)
    with front.running():
        stream = Stream(front)
        until(lambda: stream.heartbeats, lambda number: number > 2 * NGINX_WAITS_S + 2)
        service.track(sandbox.start("fail"))
        until(lambda: len(stream.ids), lambda number: number >= 3)
        assert not stream.is_over
    stream.join()

    service.track(sandbox.start("fail"))
    saved = "SELECT count(*) FROM events WHERE type = 'tracker.logs.saved'"
    until(lambda: service.query(saved), lambda rows: rows == [(2,)])
    every = [str(row[0]) for row in service.query(_OF_GUEST)]
    front = Front(tmp_path / "nginx-again", behind, proxy_read_timeout=waits)
    with front.running():
        again = Stream(front, stream.ids[-1])
        until(lambda: again.ids[-1:], lambda ids: ids == every[-1:])
    again.join()

    assert stream.ids + again.ids == every
