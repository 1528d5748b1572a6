from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from tests.unit import tls
from tests.unit.cli.test_cli_why import CAUSE
from tests.unit.loopback_server import Loopback, Reply
from tracker_service.client import Reading, Timeouts, TrackerClient, TrackerClientError

JOB = "0000001-261122041514971-oozie-test-W"
OTHER = "0000002-261122041514971-oozie-test-W"
COPY = {
    "id": JOB,
    "application": "1529519049029_0001",
    "job": OTHER,
    "status": "SUCCEEDED",
    "path": f"/user/guest/WORK/logs/{JOB}/application_1529519049029_0001.log",
    "bytes": 12,
}
VIEW = {
    "id": JOB,
    "status": "KILLED",
    "name": "nightly",
    "user": "guest",
    "tracked": True,
    "reason": None,
    "application-ids": ["1529519049029_0001"],
    "log-jobs": {"1529519049029_0001": COPY},
    "actions": [
        {
            "name": "shell",
            "type": "shell",
            "status": "ERROR",
            "error-code": "JA018",
            "error-message": "exit code [1]",
        }
    ],
}


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def tracker(loopback: Loopback, pauses: list[float]) -> Iterator[TrackerClient]:
    with TrackerClient(loopback.origin, "guest", "pässword", sleep=pauses.append) as client:
        yield client


def says(value: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), headers)


def problem(status: int, message: str, **headers: str) -> Reply:
    return says({"status": status, "message": message, "detail": "another"}, status, **headers)


def test_ids_are_posted_as_json_with_the_credentials(tracker, loopback):
    loopback.says(says([{"id": JOB, "status": "RUNNING", "applications-ids": ["1_2"]}]))

    [answered] = tracker.track([JOB])

    assert (answered.id, answered.status, answered.applications) == (JOB, "RUNNING", ("1_2",))
    [asked] = loopback.asked
    assert (asked.method, asked.path) == ("POST", "/api/task/track/")
    assert json.loads(asked.body) == [JOB]
    assert asked.headers["Authorization"] == "Basic Z3Vlc3Q6cMOkc3N3b3Jk"


def test_a_job_comes_with_its_actions_and_copies_and_as_it_was_told(tracker, loopback):
    loopback.says(says(VIEW))

    job = tracker.job(JOB)

    assert (job.id, job.status, job.name) == (JOB, "KILLED", "nightly")
    assert [action.error_message for action in job.actions] == ["exit code [1]"]
    assert [(copy.status, copy.bytes) for copy in job.copies] == [("SUCCEEDED", 12)]
    assert job.raw == VIEW
    assert (loopback.asked[0].path, loopback.asked[0].query) == (f"/api/job/{JOB}", {})


def test_oozie_is_asked_now_where_that_is_wanted(tracker, loopback):
    loopback.says(says(VIEW))

    tracker.job(JOB, refresh=True)

    assert loopback.asked[0].query == {"refresh": "true"}


def test_a_job_is_untracked(tracker, loopback):
    loopback.says(Reply(204))

    tracker.untrack(JOB)

    assert (loopback.asked[0].method, loopback.asked[0].path) == (
        "DELETE",
        f"/api/task/track/{JOB}",
    )


def test_the_list_is_followed_over_all_its_pages(tracker, loopback):
    listed = {"id": JOB, "status": "RUNNING", "applications": {"1_2": COPY}}
    loopback.says(
        says([listed], Link='</api/jobs/tracking?cursor=a%2Bb>; rel="next"'),
        says([listed | {"id": OTHER}]),
    )

    found = list(tracker.tracking(["RUNNING", "PREP"], limit=1))

    assert [job.id for job in found] == [JOB, OTHER]
    assert [copy.application for copy in found[0].copies] == ["1529519049029_0001"]
    assert loopback.asked[0].query == {"status": "RUNNING", "limit": "1"}
    assert loopback.asked[1].query == {"cursor": "a+b"}


def test_credentials_never_follow_a_link_to_another_server(tracker, loopback, other_server):
    link = f'<{other_server.origin}/api/jobs/tracking?cursor=x>; rel="next"'
    loopback.says(says([], Link=link), says([]))

    assert list(tracker.tracking()) == []

    assert other_server.asked == []
    assert [asked.query for asked in loopback.asked] == [{}, {"cursor": "x"}]


@pytest.mark.parametrize("path", ["/elsewhere", "http://localhost:1/elsewhere"])
def test_a_redirect_is_not_followed_but_told(tracker, loopback, path):
    loopback.says(Reply(308, headers={"Location": path}))

    with pytest.raises(TrackerClientError, match=f"sends elsewhere.*{path}") as caught:
        tracker.job(JOB)

    assert (caught.value.status, caught.value.is_temporary) == (308, False)
    assert len(loopback.asked) == 1


@pytest.mark.parametrize(
    ("jobtype", "told"),
    [
        ("wf", {"workflows": [{"id": JOB, "appName": "nightly", "status": "RUNNING"}]}),
        (
            "coord",
            {
                "coordinatorjobs": [
                    {"coordJobId": JOB, "coordJobName": "nightly", "status": "RUNNING"}
                ]
            },
        ),
        (
            "bundle",
            {"bundlejobs": [{"bundleJobId": JOB, "bundleJobName": "nightly", "status": "RUNNING"}]},
        ),
    ],
)
def test_oozies_own_list_is_paged_and_filtered_as_oozie_does(tracker, loopback, jobtype, told):
    loopback.says(says(told | {"total": 7, "offset": 3, "len": 1}))

    page = tracker.jobs(offset=3, length=1, filter="user=guest", jobtype=jobtype)

    assert (page.total, [(job.id, job.name) for job in page.jobs]) == (7, [(JOB, "nightly")])
    assert loopback.asked[0].path == "/api/jobs/"
    assert loopback.asked[0].query == {
        "offset": "3",
        "len": "1",
        "filter": "user=guest",
        "jobtype": jobtype,
    }


def test_logs_are_asked_for_and_tell_how_far_they_are(tracker, loopback):
    loopback.says(says({"finished": True, "succeeded": True, "jobs": [COPY], "not-found": [OTHER]}))

    progress = tracker.copy_logs([JOB, OTHER], refresh=True)

    assert (progress.is_finished, progress.has_succeeded) == (True, True)
    assert ([copy.status for copy in progress.copies], progress.not_found) == (
        ["SUCCEEDED"],
        (OTHER,),
    )
    assert loopback.asked[0].query == {"refresh": "true"}
    assert json.loads(loopback.asked[0].body) == [JOB, OTHER]


def test_the_status_of_logs_is_told_by_application(tracker, loopback):
    loopback.says(says({"finished": False, "succeeded": False, "jobs": {"1_2": COPY}}))

    assert [copy.is_finished for copy in tracker.logs_status(JOB).copies] == [True]


def test_a_log_comes_in_pieces(tracker, loopback):
    loopback.says(Reply(body=b"line\n" * 100_000))

    pieces = list(tracker.logs(JOB, "1529519049029_0001"))

    assert b"".join(pieces) == b"line\n" * 100_000
    assert max(map(len, pieces)) <= 64 * 1024
    assert loopback.asked[0].path == f"/api/job/{JOB}/logs/1529519049029_0001"


def test_a_log_that_is_not_there_is_told_before_its_first_piece(tracker, loopback):
    loopback.says(problem(404, "No log is saved: the job SUCCEEDED."))

    with pytest.raises(TrackerClientError, match="the job SUCCEEDED") as caught:
        tracker.logs(JOB)

    assert caught.value.status == 404


def test_a_log_that_breaks_off_is_not_taken_for_whole(tracker, loopback):
    loopback.says(Reply(body=b"half", length=8))
    pieces = tracker.logs(JOB)

    with pytest.raises(TrackerClientError, match="broke off"):
        list(pieces)


def test_the_services_own_words_are_the_error(tracker, loopback):
    loopback.says(problem(403, "Only admins may do this."))

    with pytest.raises(TrackerClientError) as caught:
        list(tracker.tracking(user="sam"))

    error = caught.value
    assert (error.status, error.message, error.is_temporary) == (
        403,
        "Only admins may do this.",
        False,
    )


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_when_it_says(tracker, loopback, pauses, status):
    loopback.says(problem(status, "busy", **{"Retry-After": "7"}), says(VIEW))

    assert tracker.job(JOB).id == JOB
    assert pauses == [7]


def test_a_date_to_come_back_at_is_understood(tracker, loopback, pauses):
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    loopback.says(problem(503, "busy", **{"Retry-After": then}), says(VIEW))

    tracker.job(JOB)

    assert pauses == [pytest.approx(19, abs=2)]


def test_a_service_that_stays_busy_is_asked_three_times(tracker, loopback, pauses):
    loopback.says(problem(503, "busy", **{"Retry-After": "1"}))

    with pytest.raises(TrackerClientError, match="busy") as caught:
        tracker.track([JOB])

    assert (len(loopback.asked), pauses) == (3, [1, 1])
    assert (caught.value.retry_after, caught.value.is_temporary) == (1, True)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "3600"}, {"Retry-After": "soon"}])
def test_nobody_waits_who_is_not_told_how_long_or_told_very_long(
    tracker, loopback, pauses, headers
):
    loopback.says(problem(429, "too many", **headers))

    with pytest.raises(TrackerClientError, match="too many"):
        tracker.job(JOB)

    assert (len(loopback.asked), pauses) == (1, [])


def test_what_is_not_the_same_twice_is_not_sent_twice(tracker, loopback, pauses):
    loopback.says(problem(503, "busy", **{"Retry-After": "1"}))

    with pytest.raises(TrackerClientError):
        tracker.copy_logs([JOB], refresh=True)

    assert (len(loopback.asked), pauses) == (1, [])


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"'])
def test_an_answer_of_something_else_is_told(tracker, loopback, body):
    loopback.says(Reply(body=body))

    with pytest.raises(TrackerClientError, match="is the URL right"):
        tracker.job(JOB)


def test_an_answer_that_lacks_a_fact_is_told(tracker, loopback):
    loopback.says(says({"id": JOB}))

    with pytest.raises(TrackerClientError, match=r"status.*of this version"):
        tracker.job(JOB)


def test_an_error_page_of_something_else_is_told(tracker, loopback):
    loopback.says(Reply(502, b"<html>Bad Gateway"))

    with pytest.raises(TrackerClientError, match="answered 502, not as a tracker") as caught:
        tracker.job(JOB)

    assert caught.value.is_temporary


@pytest.mark.parametrize("odd", ["..", ".", ""])
def test_an_id_never_names_another_path(tracker, loopback, odd):
    with pytest.raises(TrackerClientError, match="no id"):
        tracker.job(odd)

    assert loopback.asked == []


def test_an_id_is_one_segment_of_the_path(tracker, loopback):
    loopback.says(problem(400, "Not shaped like an id"))

    with pytest.raises(TrackerClientError, match="Not shaped"):
        tracker.job("../x?y#z")

    assert loopback.asked[0].path == "/api/job/..%2Fx%3Fy%23z"


def refusal(url: str, **more: Any) -> TrackerClientError:
    with (
        TrackerClient(url, "guest", "guest-password", **more) as tracker,
        pytest.raises(TrackerClientError) as caught,
    ):
        tracker.job(JOB)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_service_that_is_away_is_told():
    error = refusal("http://127.0.0.1:1")

    assert str(error) == "http://127.0.0.1:1 cannot be reached; is the service running there?"
    assert (error.status, error.is_temporary) == (None, True)


def test_a_service_that_does_not_answer_is_not_waited_for_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "in time" in str(refusal(url, timeouts=Timeouts(read_s=0.1)))


@pytest.mark.parametrize("url", ["localhost:8080", "tracker", "ftp://tracker", "http://"])
def test_what_is_no_url_is_told(url):
    error = refusal(url)

    assert "no URL of a service" in str(error)
    assert not error.is_temporary


def test_an_unknown_authority_is_told(tmp_path):
    with tls.tls_loopback(tls.Authority(tmp_path).certificate()) as server:
        error = refusal(tls.secure(server))

    assert "TLS with https://127.0.0.1" in str(error)
    assert "unable to get local issuer certificate; is the CA file right?" in str(error)
    assert not error.is_temporary


def test_the_right_authority_is_trusted_whatever_the_environment_says(tmp_path, monkeypatch):
    ours, other = tls.Authority(tmp_path), tls.Authority(tmp_path, "other")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.file))
    with tls.tls_loopback(ours.certificate()) as server:
        server.says(says(VIEW))
        with TrackerClient(tls.secure(server), "guest", "x", ca_file=ours.file) as tracker:
            assert tracker.job(JOB).id == JOB


def test_a_ca_file_that_is_none_is_told(tmp_path, loopback):
    file = tmp_path / "missing.pem"

    assert str(file) in str(refusal(tls.secure(loopback), ca_file=file))


def test_a_server_without_tls_is_told(loopback):
    assert "TLS" in str(refusal(tls.secure(loopback)))


def test_no_secret_is_in_what_is_printed(tracker):
    assert "pässword" not in repr(tracker)


def test_notification_tokens_are_made_listed_and_revoked(tracker, loopback):
    made = {"id": "3f9a01c2d4e5", "created": "2026-11-22T05:00:00.000+00:00", "used": None}
    properties = {"oozie.wf.workflow.notification.url": "http://tracker/api/notify/s3cr3t"}
    new = made | {"token": "s3cr3t", "url": "http://tracker", "properties": properties}
    loopback.says(says(new, 201), says([made]), Reply(204))

    told = tracker.new_notify_token()
    [known] = tracker.notify_tokens()
    tracker.revoke_notify_token(known.id)

    assert (told.token, told.properties, told.raw) == ("s3cr3t", properties, new)
    assert "s3cr3t" not in repr(told)
    assert (known.id, known.used) == (told.id, None)
    assert (loopback.asked[2].method, loopback.asked[2].path) == (
        "DELETE",
        "/api/notify-tokens/3f9a01c2d4e5",
    )


def test_why_a_job_failed_is_told_with_what_proves_it(tracker, loopback):
    loopback.says(says(CAUSE))

    cause = tracker.cause(JOB)

    assert (cause.category, cause.exit_code, cause.other_jobs) == ("missing-input", 1, 13)
    assert [(each.source, each.line) for each in cause.evidence] == [("log", 31), ("oozie", None)]
    assert cause.raw == CAUSE
    assert loopback.asked[0].path == f"/api/job/{JOB}/cause"


def test_a_job_comes_with_its_cause(tracker, loopback):
    loopback.says(says(VIEW | {"cause": CAUSE}), says(VIEW | {"cause": None}))

    assert tracker.job(JOB).cause.summary == CAUSE["summary"]
    assert tracker.job(JOB).cause is None


def test_families_come_page_after_page(tracker, loopback):
    family = {
        "fingerprint": "f1",
        "category": "memory",
        "summary": "out of heap",
        "count": 21,
        "first-seen": "2026-11-22T05:02:00.000+00:00",
        "last-seen": "2026-11-22T05:04:00.000+00:00",
        "jobs": [JOB],
        "users": ["guest"],
    }
    link = f'<{loopback.origin}/api/failures?cursor=7-f1>; rel="next"'
    loopback.says(says([family], Link=link), says([family | {"fingerprint": "f2"}]))

    since = datetime(2026, 11, 22, 7, tzinfo=timezone(timedelta(hours=2)))
    found = list(tracker.failures(since, "memory", limit=1))

    assert [(each.fingerprint, each.count, each.jobs) for each in found] == [
        ("f1", 21, (JOB,)),
        ("f2", 21, (JOB,)),
    ]
    assert loopback.asked[0].query == {
        "since": "2026-11-22T05:00:00+00:00",
        "category": "memory",
        "limit": "1",
    }
    assert loopback.asked[1].query == {"cursor": "7-f1"}


def test_parts_of_a_log_are_asked_for_by_name(tracker, loopback):
    loopback.says(Reply(body=b"line\n"))
    every = Reading(
        container="c",
        file="stderr",
        tail=3,
        first=4,
        lines=5,
        grep="a+b",
        level="ERROR",
        context=0,
        is_live=True,
    )

    assert list(tracker.logs(JOB, "1_2", every)) == [b"line\n"]
    assert list(tracker.logs(JOB, "1_2", Reading())) == [b"line\n"]

    assert [asked.query for asked in loopback.asked] == [
        {
            "container": "c",
            "file": "stderr",
            "tail": "3",
            "from": "4",
            "lines": "5",
            "grep": "a+b",
            "level": "ERROR",
            "context": "0",
            "live": "true",
        },
        {},
    ]
