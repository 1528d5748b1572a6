"""Sites that are not the usual one: homes elsewhere, HttpFS, a filter against forged requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.acceptance.conftest import Run
from tests.acceptance.forwarding import forwarded
from tests.stands import RealStand, SandboxStand, access, ask
from tests.waiting import until
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.server import SandboxServer

pytestmark = pytest.mark.slow


@pytest.fixture
def site() -> Iterator[SandboxStand]:
    """A site whose homes are in `/home`, with HttpFS, behind a filter that wants a header."""
    with SandboxServer(Cluster(homes="/home")) as server:
        server.gateway.webhdfs.plays_httpfs = True
        server.gateway.csrf_header = "X-XSRF-Header"
        yield SandboxStand(server)


@pytest.mark.parametrize("strategy", ["direct", "workflow"])
def test_a_log_is_saved_in_the_home_that_hdfs_names_and_replaced_on_request(
    run: Run, site: SandboxStand, strategy: str
) -> None:
    service = run(site, TRACKER_COPYING__STRATEGY=strategy)
    job = site.start("fail")
    service.track(job)

    [copy] = service.wait_saved(job).values()
    assert copy["status"] == "SUCCEEDED"
    assert copy["path"].startswith(f"/home/guest/WORK/logs/{job}/application_")
    directory, _, log = copy["path"].rpartition("/")

    answer = requests.post(
        f"{service.url}/api/task/copy-logs/?refresh=true", json=[job], **service.login("guest")
    )
    assert answer.status_code == 200, answer.text
    until(lambda: service.query("SELECT max(attempt) FROM copies")[0][0] > 1)

    [again] = service.wait_saved(job).values()
    assert again["status"] == "SUCCEEDED"
    files = access(site).hdfs
    until(lambda: {file.name for file in files.list(directory)} == {log, "manifest.json"})
    assert service.get(f"job/{job}/logs").content.count(b"LogType:stderr") > 0


@dataclass(frozen=True)
class Guarded:
    """The real Knox at the default port of HTTPS, with its filter against forged requests."""

    ca_file: Path
    name: str = "real"
    url: str = "https://localhost/gateway/guarded"


@pytest.fixture
def guarded(real: RealStand) -> Iterator[Guarded]:
    port = urlsplit(real.url).port
    assert port
    try:
        with forwarded(443, to=port):
            yield Guarded(real.ca_file)
    except PermissionError as error:
        pytest.skip(f"port 443 may not be opened here: {error}")


@pytest.mark.cluster
def test_behind_a_filter_at_the_default_port_a_log_is_saved_and_replaced_on_request(
    run: Run, real: RealStand, guarded: Guarded
) -> None:
    refused = ask(guarded, "webhdfs/v1/user/guest/guarded?op=MKDIRS", "PUT")
    assert (refused.status_code, refused.content) == (400, b"")
    service = run(guarded)
    job = real.start("fail")
    service.track(job)

    [(application, copy)] = service.wait_saved(job).items()
    assert copy["status"] == "SUCCEEDED", copy
    answer = requests.post(
        f"{service.url}/api/task/copy-logs/?refresh=true", json=[job], **service.login("guest")
    )
    assert answer.status_code == 200, answer.text
    until(lambda: service.query("SELECT max(attempt) FROM copies")[0][0] > 1)

    [again] = service.wait_saved(job).values()
    assert again["status"] == "SUCCEEDED", again
    saved = service.get(f"job/{job}/logs/{application}").content
    assert saved == real.yarn_logs(f"application_{application}", "guest")
