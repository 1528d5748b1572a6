"""The status page, the JSON beside it, the metrics, and who may do what."""

from __future__ import annotations

import base64
import re
from html import unescape
from ipaddress import ip_network

import pytest

from tests.unit.calls import ADMIN, GUEST, assert_problem, get
from tests.unit.ledger.conftest import ledger_job
from tests.unit.ledger.writers import Wsgi, front_of
from tracker_service.domain.ledger import Scope
from tracker_service.errors import NotAuthenticated
from tracker_service.ledger.page import page
from tracker_service.ledger.writers import Writer, WriterKey, Writers, hash_of
from tracker_service.store import ledger_jobs

FAR = {"REMOTE_ADDR": "10.1.2.3"}
KEY = ledger_job().key


@pytest.fixture
def own(service):
    """The ledger of the service that the client asks."""
    return service.ledgers.by_name["default"].ledger


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [[unescape(c).strip() for c in re.findall(r"<t[hd][^>]*>(.*?)</t", row)] for row in rows]


@pytest.mark.parametrize(
    "path", ["/", "/status", "/v2/job/heartbeat/", "/v2/x", "/ledger/default/"]
)
def test_the_page_has_a_row_for_each_job(client, own, now, path):
    own.add_job(ledger_job(5))
    now.advance(seconds=1)
    own.add_job(ledger_job(3))
    now.advance(seconds=65)
    own.set_status(ledger_job(3).key, "parsing", "a <b> & c")
    own.set_job_error(ledger_job(3).key, "<script>")

    answer = client.get(path)

    assert answer.content_type == "text/html; charset=utf-8"
    assert "<div>Tracker State</div>" in answer.text
    assert "<h1>Jobs</h1>" in answer.text
    assert "<script>" not in answer.text
    head, first, second = cells(answer.text)
    assert head == ["Job", "Elapsed", "Update Time", "State", "Detail", "Updates", "Error"]
    assert first[0] == "20240105:ndt/ndt7"
    local = now().astimezone()
    assert second == [
        "20240103:ndt/ndt7",
        "1m5s",
        f"{local:%m/%d~%H:%M:%S}",
        "failed",
        "parsing: <script>",
        "1",
        "parsing: <script>",
    ]


def test_only_states_that_wait_for_somebody_are_red(own, store):
    for day, state in enumerate(("init", "postProcessing", "failed", "parseError"), start=1):
        own.add_job(ledger_job(day))
        own.set_status(ledger_job(day).key, state, "")

    with store.read() as connection:
        html = "".join(page(ledger_jobs.lines(connection, "default")))

    red = re.findall(r'<td style="color: red;"> (\w+) </td>', html)
    assert red == ["init", "postProcessing"]


def test_the_page_shows_the_detail_of_the_state_before_while_there_is_none(client, own):
    own.add_job(ledger_job())
    own.set_status(KEY, "parsing", "last news")

    assert cells(client.get("/").text)[1][4] == "last news"


def test_an_unknown_ledger_is_not_there(client):
    assert_problem(client.get("/ledger/other/"), 404)
    assert "default" in assert_problem(client.get("/api/ledger/jobs?ledger=other"), 404)


def test_jobs_are_listed_in_pages(client, own, now):
    for day in range(1, 6):
        own.add_job(ledger_job(day))
        now.advance(seconds=1)
    own.set_status(ledger_job(2).key, "parsing", "")

    first = client.get("/api/ledger/jobs?limit=2")
    link = re.search(r"<(.*)>", first.headers["Link"])
    assert link
    second = client.get(link[1])
    rest = client.get(f"/api/ledger/jobs?after={ledger_job(4).key}")

    ids = [[job["id"][-2:] for job in each.json] for each in (first, second, rest)]
    assert ids == [["01", "02"], ["03", "04"], ["05"]]
    assert "Link" not in rest.headers
    [parsing] = client.get("/api/ledger/jobs?state=parsing").json
    assert parsing["id"] == ledger_job(2).key
    assert_problem(client.get("/api/ledger/jobs?after=unknown"), 404)


def test_a_job_is_shown_with_its_whole_history(client, own):
    job = ledger_job(datatype="")
    own.add_job(job)
    own.set_status(job.key, "parsing", "one")
    own.set_status(job.key, "complete", "two")
    own.add_job(job)

    answer = client.get(f"/api/ledger/jobs/{job.key}").json

    assert (answer["id"], answer["state"], answer["run"], answer["left-out"]) == (
        job.key,
        "init",
        1,
        0,
    )
    assert [(row["run"], row["state"], row["detail"]) for row in answer["history"]] == [
        (0, "init", ""),
        (0, "init", "one"),
        (0, "parsing", ""),
        (0, "parsing", "two"),
        (0, "complete", ""),
        (1, "init", ""),
    ]


def test_readers_from_afar_are_users_of_the_gateway(client, own):
    own.add_job(ledger_job())

    for path in ("/", "/api/ledger/jobs", f"/api/ledger/jobs/{KEY}"):
        assert_problem(client.get(path, environ_base=FAR), 401)
        assert get(client, path, environ_base=FAR).status_code == 200


def test_a_failed_job_is_retried_by_writers_and_admins_only(client, own):
    own.add_job(ledger_job())
    own.set_status(KEY, "loading", "")
    own.set_job_error(KEY, "no room")
    path = f"/api/ledger/jobs/{KEY}/retry"

    assert_problem(client.post(path, auth=GUEST, environ_base=FAR), 403)
    assert client.post(path, auth=ADMIN, environ_base=FAR).json["state"] == "loading"
    assert "has not failed" in assert_problem(client.post(path), 409)
    assert_problem(client.post("/api/ledger/jobs/unknown/retry"), 404)


def test_a_page_of_another_site_cannot_use_that_a_browser_runs_near_the_service(client, own):
    answer = client.get("/api/ledger/jobs", headers={"Sec-Fetch-Site": "cross-site"})

    assert_problem(answer, 403)


# Writers


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


PARSER = {"name": "parser", "sha256": hash_of("s3cret")}


@pytest.mark.parametrize(
    ("peer", "header", "status"),
    [
        ("127.0.0.1", None, 200),
        ("127.9.9.9", None, 200),
        ("::1", None, 200),
        ("::ffff:127.0.0.1", None, 200),
        ("", None, 200),
        ("10.1.2.3", None, 401),
        ("nonsense", None, 401),
        ("10.1.2.3", basic("parser", "s3cret"), 200),
        ("10.1.2.3", "Bearer s3cret", 200),
        ("10.1.2.3", basic("parser", "wrong"), 401),
        ("10.1.2.3", basic("other", "s3cret"), 401),
        ("10.1.2.3", "Bearer wrong", 401),
        ("10.1.2.3", "Basic ???", 401),
        ("10.1.2.3", "Digest x", 401),
        ("127.0.0.1", basic("parser", "wrong"), 401),
    ],
)
def test_who_may_report(open_ledgers, peer, header, status):
    ledgers = open_ledgers(writers=["127.0.0.0/8", "::1", PARSER])
    ledgers.by_name["default"].ledger.add_job(ledger_job())
    way = Wsgi(front_of(ledgers), peer)
    headers = {"Authorization": header} if header else {}

    answer = way(f"/v2/job/heartbeat?id={KEY}", headers=headers)

    assert answer.status == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert way("/v2/job/heartbeat", "GET", headers).status == 405


def test_a_key_has_a_scope(open_ledgers, sources):
    key = PARSER | {"experiment": "ndt", "datatype": "annotation2"}
    ledgers = open_ledgers(config=sources, writers=[key])
    ledger = ledgers.by_name["default"].ledger
    for datatype in ("ndt7", "annotation2"):
        ledger.add_job(ledger_job(datatype=datatype))
    way, headers = Wsgi(front_of(ledgers), "10.1.2.3"), {"Authorization": "Bearer s3cret"}

    def status(call: str, datatype: str) -> int:
        key = ledger_job(datatype=datatype).key
        return way(f"/v2/job/{call}?id={key}&state=x&error=y", headers=headers).status

    for call in ("update", "heartbeat", "error"):
        assert (status(call, "ndt7"), status(call, "annotation2")) == (403, 200)
    assert b"annotation2" in way("/v2/job/next", headers=headers).body


def test_a_key_opens_its_ledger_and_no_other(open_ledgers):
    keys = [PARSER | {"ledger": "second"}]
    ledgers = open_ledgers(writers=["127.0.0.1", *keys], more={"second": {}, "third": {}})
    ledgers.by_name["second"].ledger.add_job(ledger_job())
    way, headers = Wsgi(front_of(ledgers)), {"Authorization": "Bearer s3cret"}
    call = f"/v2/job/heartbeat?id={KEY}"

    assert way(call, headers=headers).status == 200
    assert way(f"/ledger/second{call}", headers=headers).status == 200
    assert way(f"/ledger/third{call}", headers=headers).status == 403
    assert way(call).status == 410
    assert way(f"/ledger/second{call}").status == 200
    assert way(f"/ledger/none{call}").status == 403


def test_only_a_trusted_proxy_says_for_whom_it_asks(open_ledgers):
    ledgers = open_ledgers()
    front = front_of(ledgers)
    front._trusted = (ip_network("127.0.0.1"),)

    assert front.client("127.0.0.1", "10.1.2.3, 10.9.9.9") == "10.9.9.9"
    assert front.client("10.1.2.3", "127.0.0.1") == "10.1.2.3"
    assert front.client("127.0.0.1", None) == "127.0.0.1"


def test_a_key_is_known_by_name_or_by_itself():
    key = WriterKey(name="parser", sha256=hash_of("s").upper(), scope=Scope("ndt"))
    writers = Writers((), [key])

    assert writers.writer("x", "Bearer s") == Writer(None, Scope("ndt"))
    with pytest.raises(NotAuthenticated):
        writers.writer("127.0.0.1", None)


# Metrics


def measured(client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    pairs = [line.rpartition(" ") for line in lines if line.startswith("gardener_")]
    return {name: float(value) for name, _, value in pairs}


NDT7 = 'datatype="ndt7",experiment="ndt"'


def test_jobs_are_counted_once_whatever_is_repeated(client, own, now):
    assert (
        measured(client)[
            'gardener_jobs_total{daily="",datatype="",experiment="",status="starting"}'
        ]
        == 0
    )
    own.add_job(ledger_job())
    now.advance(seconds=20)
    for _ in range(3):
        own.set_status(KEY, "complete", "again")
        own.heartbeat(KEY)
    own.add_job(ledger_job())

    found = measured(client)

    assert found[f"gardener_started_total{{{NDT7}}}"] == 2
    assert found[f"gardener_completed_total{{{NDT7}}}"] == 1
    assert (
        found[
            'gardener_jobs_total{daily="false",datatype="ndt7",experiment="ndt",status="success"}'
        ]
        == 1
    )
    assert found[f'gardener_state_time_histogram_sum{{{NDT7},state="init"}}'] == 20
    assert found[f'gardener_state_time_histogram_bucket{{{NDT7},le="30.0",state="init"}}'] == 1
    date = ledger_job().date.timestamp()
    assert found[f'gardener_state_date{{{NDT7},state="complete"}}'] == date


def test_gauges_never_go_negative_and_complete_jobs_are_not_in_flight(client, own):
    own.add_job(ledger_job())
    own.set_status(KEY, "loading", "")
    own.set_job_error(KEY, "no room")
    assert measured(client)[f'gardener_tasks_in_flight{{{NDT7},state="loading-failed"}}'] == 1

    own.set_status(KEY, "loading", "")
    found = measured(client)
    flying = {name: v for name, v in found.items() if name.startswith("gardener_tasks_in")}
    assert flying == {f'gardener_tasks_in_flight{{{NDT7},state="loading"}}': 1}

    own.set_status(KEY, "complete", "")
    assert not [name for name in measured(client) if name.startswith("gardener_tasks_in")]


def test_the_texts_of_failures_are_bounded(client, own):
    for number in range(12):
        own.add_job(ledger_job())
        own.set_job_error(KEY, f"error {number}")

    found = measured(client)

    failed = {name: v for name, v in found.items() if name.startswith("gardener_fail_total")}
    assert len(failed) == 11
    assert failed[f'gardener_fail_total{{{NDT7},status="generic"}}'] == 2
    assert failed[f'gardener_fail_total{{{NDT7},status="error 0"}}'] == 1


def test_a_parse_error_is_no_failure(client, own):
    own.add_job(ledger_job())
    own.set_status(KEY, "parseError", "x")

    assert not [name for name in measured(client) if name.startswith("gardener_fail_total{")]


def test_updates_of_unknown_jobs_are_warnings(client, service):
    way = Wsgi(front_of(service.ledgers))
    way("/v2/job/update?id=unknown&state=x")
    way("/v2/job/heartbeat?id=unknown")

    assert (
        measured(client)['gardener_warning_total{datatype="",experiment="",status="NoSuchJob"}']
        == 2
    )


def test_each_source_in_the_settings_has_a_series(ledgers, metrics):
    text = metrics.exposition((), ledgers.levels).decode()

    assert f"gardener_config_datatypes{{{NDT7}}} 0.0" in text
    assert 'gardener_config_datatypes{datatype="annotation2",experiment="ndt"} 0.0' in text
