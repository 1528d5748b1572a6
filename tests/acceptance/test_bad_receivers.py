"""What a receiver does wrong stands in one line of `tracker deliveries`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from socket import create_server

import pytest

from tests.acceptance.command import login, tracker
from tests.acceptance.conftest import Run
from tests.acceptance.test_events import subscribe
from tests.stands import Stand
from tests.unit.loopback_server import Loopback, Reply
from tests.unit.tls import Authority, secure, tls_loopback
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def urls(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Receivers, by what they do."""
    certificate = Authority(tmp_path).certificate(lasts=timedelta(days=-1))
    gone, busy = Loopback(), Loopback()
    gone.says(Reply(410, b"this hook was removed"))
    busy.says(Reply(429, b"slow down", {"Retry-After": "3000"}))
    with tls_loopback(certificate) as expired, create_server(("127.0.0.1", 0)) as silent:
        yield {
            "gone": gone.origin,
            "busy": busy.origin,
            "expired": secure(expired),
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "unknown": "http://no-such-host.invalid",
        }
    gone.close()
    busy.close()


def test_each_bad_receiver_has_a_line_that_says_what_is_wrong(
    sandbox: Stand, run: Run, urls: dict[str, str], tmp_path: Path
) -> None:
    service = run(
        sandbox,
        TRACKER_SINKS__ALLOWED_HOSTS='["127.0.0.1", "no-such-host.invalid"]',
        TRACKER_SINKS__ALLOWED_NETWORKS='["127.0.0.0/8"]',
        SSL_CERT_FILE=next(tmp_path.glob("*.pem")),
    )
    names = {name: subscribe(service, url) for name, url in urls.items()}
    guest = login(service.url)
    for name in names.values():
        assert tracker(tmp_path, guest, "notify", "test", name).returncode == 0
    until(
        lambda: service.query("SELECT answer FROM deliveries WHERE answer IS NOT NULL"),
        lambda answers: len(answers) == len(urls),
    )

    lines = tracker(tmp_path, guest, "deliveries").stdout.splitlines()
    failed = tracker(tmp_path, guest, "deliveries", "--failed").stdout.splitlines()

    told = {name: next(line for line in lines if names[name] in line) for name in names}
    assert told["gone"].endswith(" 410 Gone this hook was removed")
    assert told["busy"].endswith(" 429 Too Many Requests slow down")
    assert told["expired"].endswith("its certificate is refused: certificate has expired")
    assert told["silent"].endswith("127.0.0.1: Read timed out. (read timeout=10.0)")
    assert "no-such-host.invalid: " in told["unknown"]
    assert [names["gone"] in line for line in failed[1:]] == [True]
