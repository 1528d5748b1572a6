"""The job API as Gardener's clients know it, on both ways to it."""

from __future__ import annotations

import io
import json
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.ledger.conftest import ledger_job
from tests.unit.ledger.writers import Got, Wsgi, front_of
from tracker_service.errors import LedgerJobNotFound
from tracker_service.metrics import Metrics
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Store

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
EMPTY = {"Content-Length": "0"}
KEY = ledger_job().key
ID = quote(KEY, safe="")
CALLS = ("next", "update", "heartbeat", "error")


@pytest.fixture(autouse=True)
def _has_a_job(ledger) -> None:
    ledger.add_job(ledger_job())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_post_is_taken_whatever_else_is_wrong(way, call, method):
    assert way(f"/v2/job/{call}?id=%zz", method) == Got(405, EMPTY)


# call, query, status: in the order in which they are checked
REFUSALS = [
    ("update", "id=%zz", 400),
    ("update", "id=a&state=%", 400),
    ("update", f"id={ID};state=x", 400),
    ("update", "", 422),
    ("update", "id=", 422),
    ("update", f"ID={ID}&state=x", 422),
    ("update", "state=x", 422),
    ("update", f"id={ID}", 424),
    ("update", f"id={ID}&state=", 424),
    ("update", "id=unknown", 424),
    ("update", "id=unknown&state=x", 410),
    ("heartbeat", "id=%zz", 400),
    ("heartbeat", "", 422),
    ("heartbeat", "id=unknown", 410),
    ("error", "error=%zz", 400),
    ("error", "", 422),
    ("error", f"id={ID}", 424),
    ("error", "id=unknown&error=x", 410),
]


@pytest.mark.parametrize(("call", "query", "status"), REFUSALS)
def test_a_refusal_is_empty(way, call, query, status):
    assert way(f"/v2/job/{call}?{query}") == Got(status, EMPTY)


@pytest.mark.parametrize(
    ("call", "query"),
    [
        ("update", f"id={ID}&state=parsing&detail=x"),
        ("update", f"id={ID}&state=State:42"),
        ("heartbeat", f"id={ID}"),
        ("error", f"id={ID}&error=broken"),
    ],
)
def test_success_is_empty_too(way, call, query):
    assert way(f"/v2/job/{call}?{query}") == Got(200, EMPTY)


def test_an_update_sets_the_detail_of_the_state_that_ends(way, ledger):
    way(f"/v2/job/update?id={ID}&state=parsing&detail=starting+tasks")

    status = ledger.get_status(KEY)

    assert (status.state, status.prev, status.update_count) == ("parsing", "init", 1)
    assert (status.last.detail, status.detail) == ("", "starting tasks")


def test_an_error_is_a_state_of_its_own_and_no_failure(way, ledger):
    way(f"/v2/job/error?id={ID}&error=no%20such%20file")

    status = ledger.get_status(KEY)

    assert (status.state, status.error, status.detail) == ("parseError", "", "no such file")


def body_of(text: str) -> bytes:
    return text.encode()


def test_a_form_in_the_body_wins_over_the_query_and_the_first_of_its_values_counts(way, ledger):
    way(
        "/v2/job/update?id=unknown&state=b&detail=query",
        headers=FORM,
        body=body_of(f"id={ID}&state=first&state=second"),
    )

    status = ledger.get_status(KEY)

    assert (status.state, status.detail) == ("first", "query")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/json", "multipart/form-data; boundary=x", None],
)
def test_other_bodies_are_not_read(way, kind):
    headers = {"Content-Type": kind} if kind else {}

    assert way("/v2/job/heartbeat", headers=headers, body=body_of(f"id={ID}")).status == 422
    assert way(f"/v2/job/heartbeat?id={ID}", headers=headers, body=b"%zz").status == 200


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded; charset=UTF-8",
        "APPLICATION/X-WWW-FORM-URLENCODED",
        'application/x-www-form-urlencoded;a="b; c"',
    ],
)
def test_a_form_is_known_by_its_type(way, kind):
    answer = way("/v2/job/heartbeat", headers={"Content-Type": kind}, body=body_of(f"id={ID}"))

    assert answer.status == 200


@pytest.mark.parametrize("kind", ["application/", "a b", "text/plain; x", "text/plain;=x"])
def test_a_broken_content_type_is_refused(way, kind):
    assert way(f"/v2/job/heartbeat?id={ID}", headers={"Content-Type": kind}).status == 400


@pytest.mark.parametrize("body", ["id=%g0", "id=a;b=c"])
def test_a_broken_form_in_the_body_is_refused(way, body):
    answer = way(f"/v2/job/heartbeat?id={ID}", headers=FORM, body=body.encode())

    assert answer == Got(400, EMPTY)


@pytest.mark.parametrize(
    ("length", "status"),
    [(1024 * 1024, 422), (1024 * 1024 + 1, 413), (10 * 1024 * 1024 + 1, 400)],
)
def test_a_body_is_limited(way, length, status):
    assert way("/v2/job/heartbeat", headers=FORM, body=b"a" * length).status == status


def test_a_chunked_body_is_limited_too(ledgers):
    way = Wsgi(front_of(ledgers))
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v2/job/heartbeat",
        "CONTENT_TYPE": FORM["Content-Type"],
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(b"a" * (1024 * 1024 + 5)),
    }
    told: list[Any] = []
    start: Any = lambda *what: told.append(what)  # noqa: E731

    way.front(environ, start)

    assert told[0][0].startswith("413")


def test_the_next_job_is_the_json_of_go(way):
    answer = way("/v2/job/next?id=%zz", body=b"ignored")

    assert answer.status == 200
    assert answer.headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(answer.body)),
    }
    date = json.loads(answer.body)["Job"]["Date"]
    assert answer.body.decode() == (
        f'{{"ID":"lab/ndt/ndt7/{date[:10].replace("-", "")}","Job":{{"Bucket":"lab",'
        f'"Experiment":"ndt","Datatype":"ndt7","Date":"{date}","Filter":".*T??:??:00.*Z",'
        '"Datasets":{"Tmp":"tmp_ndt","Raw":"raw_ndt","Join":"ndt"}}}'
    )


def test_a_job_that_is_still_worked_on_is_told(way, ledger):
    job = json.loads(way("/v2/job/next").body)
    key = job["ID"].replace("ndt7", "annotation2")
    date = datetime.fromisoformat(job["Job"]["Date"])
    ledger.add_job(ledger_job(datatype="annotation2", date=date))
    assert key == ledger_job(datatype="annotation2", date=date).key

    assert way("/v2/job/next") == Got(
        500,
        {"Content-Type": "text/plain; charset=utf-8", "Content-Length": "30"},
        b"Job already exists. Try again.",
    )


def test_a_ledger_without_sources_has_no_next_job(open_ledgers):
    assert Wsgi(front_of(open_ledgers(Metrics())))("/v2/job/next") == Got(500, EMPTY)


@pytest.mark.parametrize(
    "detail",
    ["a/b", "ünïcödé ✓", "tab\tline\nbell\x07", "<b>&amp;", "", "' OR 1=1 --", "x" * 5000],
)
def test_a_detail_is_kept_as_it_is(way, ledger, detail):
    body = f"id={ID}&state=parsing&detail={quote(detail, safe='')}"

    assert way("/v2/job/update", headers=FORM, body=body.encode()).status == 200

    assert ledger.get_status(KEY).detail == detail


def test_what_no_database_takes_is_replaced(way, ledger):
    way(f"/v2/job/update?id={ID}&state=a%00b&detail=%FF")

    status = ledger.get_status(KEY)

    assert (status.state, status.detail) == ("a\ufffdb", "\ufffd")


def test_a_detail_that_is_too_long_says_how_much_is_missing(way, ledger):
    body = f"id={ID}&state=parsing&detail={'x' * 70_000}".encode()

    way("/v2/job/update", headers=FORM, body=body)

    assert ledger.get_status(KEY).detail.endswith("x… and 4464 characters more")


def test_the_name_of_a_state_is_limited(way):
    assert way(f"/v2/job/update?id={ID}&state={'x' * 255}").status == 200
    assert way(f"/v2/job/update?id={ID}&state={'x' * 256}").status == 400


def test_an_id_that_no_database_could_hold_is_unknown(way):
    assert way(f"/v2/job/heartbeat?id={'x' * 5000}").status == 410
    assert way("/v2/job/update?state=x&id=%00").status == 410


def test_doubled_slashes_are_redirected_to_the_clean_path(ledgers):
    answer = Wsgi(front_of(ledgers))("//v2//job/update?id=a&state=b")

    assert (answer.status, answer.headers["Location"]) == (301, "/v2/job/update?id=a&state=b")


@pytest.mark.parametrize("path", ["/v2/job/heartbeat/", "/v2/job/other", "/v2/jobs", "/x"])
def test_other_paths_are_not_calls(ledgers, path):
    assert Wsgi(front_of(ledgers))(path).status == 299


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}, {"Origin": "http://evil"}]
)
def test_a_page_of_another_site_cannot_report_through_a_browser(way, ledger, headers):
    assert way(f"/v2/job/update?id={ID}&state=x", headers=headers).status == 403
    assert ledger.get_status(KEY).state == "init"


def test_an_outage_of_the_database_is_told_and_nothing_is_counted(way, ledger, store):
    store.is_broken = True
    answers = [way(f"/v2/job/{call}") for call in ("next", f"update?id={ID}&state=x")]
    store.is_broken = False

    assert [answer.status for answer in answers] == [503, 503]
    assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
    assert ledger.get_status(KEY).update_count == 0


def test_declared_transitions_are_enforced(open_ledgers, sources):
    states = {"init": ["parsing"], "parsing": ["complete", "parseError"]}
    ledgers = open_ledgers(Metrics(), config=sources, states=states)
    way, ledger = Wsgi(front_of(ledgers)), ledgers.by_name["default"].ledger

    refused = way(f"/v2/job/update?id={ID}&state=complete&detail=early")
    assert (refused.status, refused.body) == (409, b"complete cannot follow init; parsing can\n")
    assert ledger.get_status(KEY).detail == ""

    assert way(f"/v2/job/update?id={ID}&state=parsing").status == 200
    assert way(f"/v2/job/update?id={ID}&state=parsing&detail=again").status == 200
    assert way(f"/v2/job/update?id={ID}&state=complete").status == 200


def test_each_answer_is_counted(ledgers):
    counted: list[tuple[str, str, int]] = []
    way = Wsgi(front_of(ledgers, counted))

    way(f"/v2/job/heartbeat?id={ID}")
    way("/v2/job/update", "GET")

    assert counted == [("POST", "/v2/job/heartbeat", 200), ("GET", "/v2/job/update", 405)]


def test_a_job_that_has_gone_is_unknown(way, ledger, store: Store):
    with store.begin() as connection:
        now = ledger.clock()
        ledger_jobs.remove_old(
            connection,
            "default",
            now,
            silent_since=now.replace(year=2100),
            complete_since=now,
            heartbeats_count=False,
        )

    assert way(f"/v2/job/heartbeat?id={ID}").status == 410
    assert way(f"/v2/job/update?id={ID}&state=x").status == 410
    with pytest.raises(LedgerJobNotFound):
        ledger.get_status(KEY)
