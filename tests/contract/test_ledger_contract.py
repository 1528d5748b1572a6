"""The job API of a ledger on the wire, row by row as the original tracker answers."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.acceptance.proxied import gunicorn
from tests.ports import free_port
from tracker_service.store.database import Store

SOURCES = """
start_date: 2001-02-03
sources:
- bucket: archive-measurement-lab
  experiment: ndt
  datatype: ndt7
  filter: .*T??:??:00.*Z
  target_datasets: {tmp: tmp_ndt, raw: raw_ndt, join: ndt}
  full_history: true
tracker: {timeout: 5h}
"""
NONE = (
    "start_date: 2001-02-03\nsources: [{bucket: b, experiment: e, datatype: d, daily_only: true}]"
)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Wire:
    """A service with a ledger, reached by bytes."""

    port: int

    def send(
        self, target: str, method: str = "POST", headers: dict[str, str] | None = None, body=b""
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of an answer."""
        lines = [f"{method} {target} HTTP/1.1", "Host: ledger", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=60)) as connection:
            connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, text = answer.partition(b"\r\n\r\n")
        status, *rest = head.decode().split("\r\n")
        return int(status.split()[1]), dict(line.split(": ", 1) for line in rest), text

    def next(self) -> str:
        """Take a job and return its id as it stands in a query."""
        return quote(json.loads(self.send("/v2/job/next")[2])["ID"], safe="")

    def job(self, job: str):
        """Return all that the ledger tells of a job."""
        url = f"http://127.0.0.1:{self.port}/api/ledger/jobs/{job}"
        return requests.get(url, timeout=60).json()

    def metrics(self) -> str:
        return requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=60).text


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    home: Path = tmp_path_factory.mktemp("ledger-contract")
    store = Store(f"sqlite:///{home}/tracker.db")
    store.upgrade()
    store.close()
    for name, text in (("sources", SOURCES), ("none", NONE)):
        (home / f"{name}.yml").write_text(text)
    port = free_port()
    environment = {
        "TRACKER_STATE_DIR": str(home),
        "TRACKER_SERVE__BIND": f"127.0.0.1:{port}",
        "TRACKER_LEDGER__ENABLED": "true",
        "TRACKER_LEDGER__CONFIG": str(home / "sources.yml"),
        "TRACKER_LEDGER__MORE": json.dumps({"none": {"config": str(home / "none.yml")}}),
    }
    with gunicorn(home / "gunicorn.log", environment):
        yield Wire(port)


@pytest.fixture(scope="module")
def job(wire: Wire) -> str:
    """A job that somebody works on."""
    return wire.next()


# The four calls. {id} is the id of a job.
REFUSALS = [
    *(
        (call, "id=%zz", 405, method)
        for call in ("next", "update", "heartbeat", "error")
        for method in ("GET", "HEAD", "PUT", "DELETE")
    ),
    ("update", "id=%zz", 400, "POST"),
    ("update", "id={id}&state=a%2", 400, "POST"),
    ("update", "id={id};state=a", 400, "POST"),
    ("update", "", 422, "POST"),
    ("update", "id=&state=a", 422, "POST"),
    ("update", "ID={id}&state=a", 422, "POST"),
    ("update", "id=unknown", 424, "POST"),
    ("update", "id={id}&state=", 424, "POST"),
    ("update", "id=unknown&state=a", 410, "POST"),
    ("heartbeat", "id=%zz", 400, "POST"),
    ("heartbeat", "", 422, "POST"),
    ("heartbeat", "id=unknown", 410, "POST"),
    ("error", "id=%zz", 400, "POST"),
    ("error", "error=a", 422, "POST"),
    ("error", "id=unknown", 424, "POST"),
    ("error", "id={id}&error=", 424, "POST"),
    ("error", "id=unknown&error=a", 410, "POST"),
]


@pytest.mark.parametrize(("call", "query", "status", "method"), REFUSALS)
def test_a_refusal_has_its_status_and_nothing_else(wire, job, call, query, status, method):
    found, headers, body = wire.send(f"/v2/job/{call}?{query.format(id=job)}", method)

    assert (found, body, headers["Content-Length"]) == (status, b"", "0")
    assert "Content-Type" not in headers


@pytest.mark.parametrize(
    "target",
    [
        "/v2/job/update?id={id}&state=State:42&detail=a+b",
        "/v2/job/heartbeat?id={id}",
        "/v2/job/error?id={id}&error=no%20file",
    ],
)
def test_success_is_200_and_nothing_else(wire, job, target):
    found, headers, body = wire.send(target.format(id=job))

    assert (found, body, headers["Content-Length"]) == (200, b"", "0")
    assert "Content-Type" not in headers


def test_next_answers_with_the_json_of_the_original_whatever_is_sent(wire):
    found, headers, body = wire.send("/v2/job/next?%zz;", headers=FORM, body=b"id=%zz")

    given = json.loads(body)
    day = given["Job"]["Date"][:10]
    assert (found, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert headers["Content-Length"] == str(len(body))
    assert body.decode() == (
        f'{{"ID":"archive-measurement-lab/ndt/ndt7/{day.replace("-", "")}","Job":{{'
        '"Bucket":"archive-measurement-lab","Experiment":"ndt","Datatype":"ndt7",'
        f'"Date":"{day}T00:00:00Z","Filter":".*T??:??:00.*Z",'
        '"Datasets":{"Tmp":"tmp_ndt","Raw":"raw_ndt","Join":"ndt"}}}'
    )


def test_next_is_500_and_empty_when_there_is_no_job(wire):
    answers = [wire.send("/ledger/none/v2/job/next") for _ in range(2)]

    found, headers, body = answers[-1]  # the first may be the job of yesterday
    assert (found, body, headers["Content-Length"]) == (500, b"", "0")


@pytest.mark.parametrize(
    ("query", "headers", "body", "status"),
    [
        ("id=unknown", FORM, "id={id}", 200),
        ("", FORM, "id={id}&id=unknown", 200),
        ("id={id}", FORM, "ID=unknown", 200),
        ("id={id}", FORM, "%zz", 400),
        ("id={id}", FORM, "a;b", 400),
        ("", {"Content-Type": "text/plain"}, "id={id}", 422),
        ("", {"Content-Type": "application/json"}, "id={id}", 422),
        ("", {"Content-Type": "multipart/form-data; boundary=x"}, "id={id}", 422),
        ("id={id}", {"Content-Type": "text/plain"}, "%zz", 200),
        ("id={id}", {"Content-Type": "multipart/form-data; boundary=x"}, "%zz", 200),
        ("id={id}", {"Content-Type": "text/plain;=x"}, "", 400),
    ],
)
def test_parameters_come_from_the_query_and_before_it_from_a_form(
    wire, job, query, headers, body, status
):
    target = f"/v2/job/heartbeat?{query.format(id=job)}"

    assert wire.send(target, headers=headers, body=body.format(id=job).encode())[0] == status


def test_a_body_in_chunks_is_read_as_well(wire, job):
    form = f"id={job}".encode()
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(form), form)
    head = (
        "POST /v2/job/heartbeat HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", wire.port), timeout=60)) as connection:
        connection.sendall(head.encode() + chunks)

        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(("size", "status"), [(1024**2 + 1, 413), (10 * 1024**2 + 1, 400)])
def test_a_body_that_is_too_long_is_refused_unread(wire, job, size, status):
    head = f"POST /v2/job/heartbeat?id={job} HTTP/1.1\r\nHost: l\r\nContent-Length: {size}\r\n"
    with closing(socket.create_connection(("127.0.0.1", wire.port), timeout=60)) as connection:
        connection.sendall(f"{head}Content-Type: {FORM['Content-Type']}\r\n\r\n".encode())

        assert connection.recv(65536).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("path", ["/", "/status", "/v2/job/heartbeat/", "/v2/job/unknown"])
def test_other_paths_show_the_status_page(wire, job, path):
    found, headers, body = wire.send(path, "GET")

    assert (found, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    heads = re.findall("<th>(.*?)</th>", body.decode())
    assert [unescape(head).strip() for head in heads] == [
        *("Job", "Elapsed", "Update Time", "State", "Detail", "Updates", "Error")
    ]


@pytest.mark.parametrize(
    "path", ["//v2/job/next", "/v2//job/next", "/v2/./job/next", "/x/../v2/job/next"]
)
def test_a_path_that_is_not_clean_is_redirected(wire, path):
    found, headers, _ = wire.send(f"{path}?a=b")

    assert (found, headers["Location"]) == (301, "/v2/job/next?a=b")


# States


def reported(wire: Wire, job: str, *reports: str):
    """Send reports of a job, and return what the ledger tells of it."""
    for report in reports:
        name, _, query = report.partition("?")
        assert wire.send(f"/v2/job/{name}?id={job}&{query}")[0] == 200, report
    return wire.job(job)


def test_a_new_job_is_init_and_has_no_updates(wire):
    told = wire.job(wire.next())

    assert (told["state"], told["detail"], told["updates"], told["heartbeat"]) == (
        "init",
        "",
        0,
        None,
    )
    assert [row["state"] for row in told["history"]] == ["init"]


def test_a_detail_belongs_to_the_state_that_ends_and_is_shown_for_one_more(wire):
    job = wire.next()

    told = reported(wire, job, "update?state=parsing", "update?state=loading&detail=x")
    assert (told["state"], told["detail"], told["updates"]) == ("loading", "x", 2)
    assert [(r["state"], r["detail"]) for r in told["history"] if r["detail"]] == [("parsing", "x")]

    told = reported(wire, job, "update?state=copying&detail=-")
    assert (told["state"], told["detail"], told["updates"]) == ("copying", "", 3)


def test_the_same_state_changes_only_the_detail_and_counts(wire):
    told = reported(wire, wire.next(), "update?state=init&detail=a", "update?state=init&detail=b")

    assert (told["state"], told["detail"], told["updates"]) == ("init", "b", 2)
    told = reported(wire, quote(told["id"], safe=""), "update?state=init&detail=-")
    assert (told["detail"], told["updates"]) == ("b", 3)
    told = reported(wire, quote(told["id"], safe=""), "update?state=init")
    assert (told["detail"], told["updates"]) == ("", 4)


def test_a_heartbeat_counts_as_no_update(wire):
    assert reported(wire, wire.next(), "heartbeat?")["updates"] == 0


def test_a_reported_error_is_the_state_parse_error_and_no_failure(wire):
    told = reported(wire, wire.next(), "update?state=parsing", "error?error=no+file")

    assert (told["state"], told["detail"], told["error"]) == ("parseError", "no file", "")


def test_a_complete_job_may_go_on(wire):
    told = reported(wire, wire.next(), "update?state=complete", "update?state=loading")

    assert (told["state"], told["updates"]) == ("loading", 2)


# Metrics: name, type, labels

METRICS = [
    ("gardener_started_total", "counter", {"experiment", "datatype"}),
    ("gardener_completed_total", "counter", {"experiment", "datatype"}),
    ("gardener_warning_total", "counter", {"experiment", "datatype", "status"}),
    ("gardener_jobs_total", "counter", {"experiment", "datatype", "daily", "status"}),
    ("gardener_config_datatypes", "gauge", {"experiment", "datatype"}),
    ("gardener_tasks_in_flight", "gauge", {"experiment", "datatype", "state"}),
    ("gardener_state_date", "gauge", {"experiment", "datatype", "state"}),
    ("gardener_state_time_histogram", "histogram", {"experiment", "datatype", "state"}),
]


@pytest.fixture(scope="module")
def measured(wire: Wire) -> str:
    """What Prometheus reads when one job is complete, one in flight, and one is unknown."""
    reported(wire, wire.next(), "update?state=parsing", "update?state=complete")
    reported(wire, wire.next(), "update?state=parsing")
    wire.send("/v2/job/update?id=unknown&state=a")
    return wire.metrics()


@pytest.mark.parametrize(("name", "kind", "labels"), METRICS)
def test_a_metric_has_its_type_and_its_labels(measured, name, kind, labels):
    family = name if re.search(f"^# TYPE {name} ", measured, re.M) else name.removesuffix("_total")
    series = re.findall(rf"^{name}(?:_count)?{{(.*?)}} ", measured, re.M)

    assert re.search(rf"^# TYPE {family} {kind}$", measured, re.M)
    assert series
    assert {frozenset(re.findall(r"(\w+)=", each)) for each in series} == {frozenset(labels)}


def test_the_times_in_states_have_the_buckets_of_the_original(measured):
    found = re.findall(
        r'^gardener_state_time_histogram_bucket{.*le="([^"]+)".*state="parsing".*} ', measured, re.M
    )

    assert list(map(float, found)) == [
        *(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 1800, 3600, 7200, 14400, 28800, 43200),
        float("inf"),
    ]


def test_jobs_begin_to_be_counted_at_the_start(measured):
    series = 'gardener_jobs_total{daily="",datatype="",experiment="",status="starting"} 0.0'

    assert series in measured
