"""No secret is written down: in no log, database, answer, metric or command line."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.stands import Stand

pytestmark = pytest.mark.slow

PASSWORD, WRONG = "guest-password", "a wrong passw0rd"


@pytest.fixture
def talkative(run: Run, stand: Stand) -> RunningService:
    """A service that logs all that it can, and stores what it stores."""
    settings = {"LOG_LEVEL": "DEBUG", "LOG_FORMAT": "json", "COPYING__REDACT": True}
    return run(stand, **{f"TRACKER_{name}": value for name, value in settings.items()})


def used(service: RunningService, stand: Stand, token: str) -> Iterator[bytes]:
    """Use a service in each way that has to do with secrets, and yield what it answers."""
    failing, endless = stand.start("fail"), stand.start("sleep")
    service.track(failing, endless)
    yield service.get("jobs/tracking", headers={"X-Secret": "x"}).content
    for auth in (("guest", WRONG), ("nobody", WRONG)):
        yield requests.get(f"{service.url}/api/jobs/tracking", auth=auth, timeout=120).content
    headers = {"Authorization": "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJndWVzdCJ9.c2VjcmV0"}
    yield requests.get(f"{service.url}/api/jobs/tracking", headers=headers, timeout=120).content
    yield requests.get(f"{service.url}/api/notify/{token}?id={failing}", timeout=120).content
    service.wait_saved(failing)
    yield service.get(f"job/{failing}").content
    yield service.get(f"job/{failing}/logs/status").content
    yield requests.get(f"{service.url}/metrics", timeout=120).content
    yield requests.get(f"{service.url}/openapi.json", timeout=120).content


def written(service: RunningService) -> Iterator[tuple[str, bytes]]:
    """Yield what the service has left on the disk, but for its key, and how it was started."""
    yield "the log", service.log.read_bytes()
    for file in service.state_dir.rglob("*"):
        if file.is_file() and file.name != "credentials.key":
            yield str(file), file.read_bytes()
    for pid in service.processes():
        yield f"process {pid}", Path(f"/proc/{pid}/cmdline").read_bytes()


def test_nobody_finds_a_secret_anywhere(talkative: RunningService, stand: Stand) -> None:
    url, auth = f"{talkative.url}/api/notify-tokens", ("guest", PASSWORD)
    token = requests.post(url, auth=auth, timeout=120).json()["token"]
    answers = list(used(talkative, stand, token))
    key = (talkative.state_dir / "credentials.key").read_bytes().strip()
    basic = (base64.b64encode(f"guest:{each}".encode()) for each in (PASSWORD, WRONG))
    secrets = [PASSWORD.encode(), WRONG.encode(), *basic, token.encode(), key, b"c2VjcmV0"]

    found = [
        (place, secret)
        for place, text in (*written(talkative), *(("an answer", each) for each in answers))
        for secret in secrets
        if secret in text
    ]

    assert found == []
    assert talkative.query("SELECT count(*) FROM credentials") == [(1,)]  # there was one to find
