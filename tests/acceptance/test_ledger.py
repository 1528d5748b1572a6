"""The ledger as its clients use it: behind gunicorn and nginx, and with workflows of a cluster."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from socket import create_connection

import pytest
import requests

from tests.acceptance.conftest import Run
from tests.acceptance.proxied import NGINX, Front, gunicorn
from tests.acceptance.service import RunningService
from tests.ports import free_port
from tests.profiles import IS_LONG
from tests.stands import Stand, access
from tests.waiting import until
from tracker_service.cli.running import take_and_report
from tracker_service.store.database import Store

pytestmark = pytest.mark.slow

CALLS = 1_000
PER_CONNECTION = 20
SOURCES = """
start_date: 2000-01-01
sources:
- {bucket: lab, experiment: ndt, datatype: ndt7, full_history: true,
   target_datasets: {tmp: tmp_ndt, raw: raw_ndt, join: ndt}}
"""
NEXT = b"POST /v2/job/next HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


def enabled(home: Path) -> dict[str, str]:
    sources = home / "sources.yml"
    sources.write_text(SOURCES)
    return {"TRACKER_LEDGER__ENABLED": "true", "TRACKER_LEDGER__CONFIG": str(sources)}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Front | None]]:
    """The address of a gunicorn with the shipped configuration, and the nginx before it."""
    home = tmp_path_factory.mktemp("ledger")
    store = Store(f"sqlite:///{home}/state/tracker.db")
    store.upgrade()
    store.close()
    address = f"127.0.0.1:{free_port()}"
    environment = enabled(home) | {
        "TRACKER_STATE_DIR": str(home / "state"),
        "TRACKER_SERVE__BIND": address,
    }
    with ExitStack() as running:
        running.enter_context(gunicorn(home / "gunicorn.log", environment))
        front = Front(home / "nginx", address) if NGINX else None
        yield address, running.enter_context(front.running()) if front else None


def first_reads(connections: Iterator[socket.socket]) -> list[bytes]:
    """Return what the first read of each answer to `next` has."""
    found = []
    for connection in connections:
        with closing(connection):
            for _ in range(PER_CONNECTION):
                connection.sendall(NEXT)
                found.append(connection.recv(65536))
    return found


def assert_whole(reads: list[bytes]) -> None:
    assert len(reads) == CALLS
    ids = set()
    for read in reads:
        head, _, body = read.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), read
        assert f"Content-Length: {len(body)}".encode() in head
        ids.add(json.loads(body)["ID"])
    assert len(ids) == CALLS


def test_the_next_job_is_whole_in_the_first_read_from_gunicorn(served):
    host, _, port = served[0].rpartition(":")

    reads = first_reads(
        create_connection((host, int(port))) for _ in range(CALLS // PER_CONNECTION)
    )

    assert_whole(reads)


@pytest.mark.skipif(NGINX is None and not os.environ.get("CI"), reason="no nginx")
def test_the_next_job_is_whole_in_the_first_read_from_nginx(served):
    _, front = served
    context = ssl.create_default_context(cafile=front.ca_file)
    port = int(front.url.rpartition(":")[2])

    def connect() -> ssl.SSLSocket:
        plain = create_connection(("localhost", port))
        return context.wrap_socket(plain, server_hostname="localhost")

    assert_whole(first_reads(connect() for _ in range(CALLS // PER_CONNECTION)))


GO = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
NO_GO = "no Go: the client of Gardener is left out (https://go.dev/doc/install)"
IN_GO = pytest.mark.skipif(not IS_LONG, reason="`make test-all` builds and runs a client in Go")


@pytest.fixture(scope="module")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that calls a ledger as Gardener's client does."""
    if GO is None:
        pytest.skip(NO_GO)
    home = tmp_path_factory.mktemp("go")
    source, program = Path(__file__).with_name("gardener_client.go"), home / "client"
    places = {"HOME": str(home), "GOCACHE": str(home / "cache"), "CGO_ENABLED": "0"}
    build = [GO, "build", "-o", str(program), str(source)]
    subprocess.run(build, check=True, cwd=home, env=os.environ | places, timeout=600)
    return program


def assert_the_go_client_works(program: Path, url: str, **environment: str) -> None:
    command = [str(program), url, str(CALLS)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(set(done.stdout.split())) == CALLS


@IN_GO
def test_a_go_client_takes_and_reports_jobs_at_gunicorn(served, go_client):
    assert_the_go_client_works(go_client, f"http://{served[0]}")


@IN_GO
@pytest.mark.skipif(NGINX is None and not os.environ.get("CI"), reason="no nginx")
def test_a_go_client_takes_and_reports_jobs_at_nginx(served, go_client):
    _, front = served
    assert_the_go_client_works(go_client, front.url, SSL_CERT_FILE=str(front.ca_file))


def test_calls_and_other_requests_share_a_connection(served):
    address, _ = served
    with requests.Session() as session:
        job = session.post(f"http://{address}/v2/job/next", timeout=60).json()["ID"]
        told = []
        for state in ("parsing", "postProcessing"):
            update = {"id": job, "state": state}
            told.append(session.post(f"http://{address}/v2/job/update", params=update, timeout=60))
            told.append(session.get(f"http://{address}/healthz", timeout=60))
            told.append(
                session.post(f"http://{address}/v2/job/heartbeat", data={"id": job}, timeout=60)
            )
        shown = session.get(f"http://{address}/api/ledger/jobs/{job}", timeout=60).json()

    assert [answer.status_code for answer in told] == [200] * 6
    assert (shown["state"], shown["updates"]) == ("postProcessing", 2)


def test_the_command_that_the_sandbox_shows_takes_a_job_and_reports_it(served):
    url = f"http://{served[0]}"

    subprocess.run(["bash", "-c", take_and_report(url)], check=True, timeout=60)

    found = requests.get(f"{url}/api/ledger/jobs?state=parsing", timeout=60).json()
    assert "it works" in {job["detail"] for job in found}


def test_an_update_that_was_answered_survives_kill_9_and_work_goes_on(run: Run, sandbox, tmp_path):
    service = run(sandbox, **enabled(tmp_path))
    job = requests.post(f"{service.url}/v2/job/next", timeout=60).json()["ID"]
    with requests.Session() as session:
        for number in range(50):
            update = {"id": job, "state": f"state {number}", "detail": str(number)}
            answer = session.post(f"{service.url}/v2/job/update", params=update, timeout=60)
            assert answer.status_code == 200
    service.kill_all()

    service.start()

    shown = requests.get(f"{service.url}/api/ledger/jobs/{job}", timeout=60).json()
    assert (shown["state"], shown["updates"]) == ("state 49", 50)
    assert len({row["state"] for row in shown["history"]}) == 51


def test_a_stop_ends_the_connections_of_writers(run: Run, sandbox, tmp_path):
    service = run(sandbox, **enabled(tmp_path))
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    with create_connection((host, int(port))) as writer:
        for _ in range(2):
            writer.sendall(NEXT)
            assert writer.recv(65536).startswith(b"HTTP/1.1 200")

        assert service.stop() == 0

        assert writer.recv(65536) == b""


GOOD, BAD = "<exec>true</exec>", "<exec>true</exec><argument>${nosuch}</argument>"
WORKFLOW = """\
<workflow-app xmlns="uri:oozie:workflow:0.5" name="post-processing">
<start to="work"/><action name="work"><shell xmlns="uri:oozie:shell-action:0.3">
<job-tracker>${resourceManager}</job-tracker><name-node>${nameNode}</name-node>SHELL</shell>
<ok to="end"/><error to="failed"/></action>
<kill name="failed"><message>it failed</message></kill><end name="end"/></workflow-app>"""


def test_a_workflow_decides_how_a_job_goes_on(run: Run, stand: Stand, tmp_path):
    hdfs = access(stand).hdfs
    places = {"resourceManager": "resourcemanager", "nameNode": "hdfs://namenode"}
    actions = {}
    for state, name, shell in (("postProcessing", "good", GOOD), ("loading", "bad", BAD)):
        hdfs.make_directory(f"{hdfs.home()}/{name}")
        text = WORKFLOW.replace("SHELL", shell)
        hdfs.write(f"{hdfs.home()}/{name}/workflow.xml", text.encode())
        path = {"oozie.wf.application.path": f"{hdfs.home()}/{name}"}
        actions[state] = {"workflow": path | places, "next": "complete"}
    password = tmp_path / "password"
    password.write_text("guest-password\n")
    service = run(
        stand,
        **enabled(tmp_path),
        TRACKER_LEDGER__ACTIONS=json.dumps(actions),
        TRACKER_LEDGER__USER="guest",
        TRACKER_LEDGER__PASSWORD_FILE=password,
    )
    good, bad = (next_job(service) for _ in range(2))

    report(service, good, "postProcessing")
    report(service, bad, "loading")

    ended = {job: end_of(service, job) for job in (good, bad)}
    assert ended[good] == "complete", state_of(service, good)
    assert ended[bad] == "failed"
    assert state_of(service, bad)[1].endswith("An expression of the workflow cannot be worked out.")
    workflow = state_of(service, bad)[1].split(": ")[1]
    assert service.get(f"job/{workflow}").json()["status"] == "FAILED"


def next_job(service: RunningService) -> str:
    job: str = requests.post(f"{service.url}/v2/job/next", timeout=60).json()["ID"]
    return job


def report(service: RunningService, job: str, state: str) -> None:
    update = {"id": job, "state": state}
    answer = requests.post(f"{service.url}/v2/job/update", params=update, timeout=60)
    assert answer.status_code == 200


def state_of(service: RunningService, job: str) -> tuple[str, str]:
    shown = requests.get(f"{service.url}/api/ledger/jobs/{job}", timeout=60).json()
    return shown["state"], shown["error"]


def end_of(service: RunningService, job: str) -> str:
    ends = ("complete", "failed")
    return until(lambda: state_of(service, job)[0], lambda state: state in ends)
