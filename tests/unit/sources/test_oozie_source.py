from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial

import pytest

from tests.unit.fakes import APP_1, APP_2, APP_3, action, answer, job
from tests.unit.loopback_server import Reply
from tracker_service.domain.applications import applications_of
from tracker_service.domain.jobs import JobStatus
from tracker_service.errors import BadInput, GatewayUnavailable, JobNotFound, RequestRefused
from tracker_service.redaction.masking import hidden
from tracker_service.redaction.secrets import Secrets
from tracker_service.sources.oozie import Oozie


@pytest.fixture
def oozie(session) -> Oozie:
    return Oozie(session)


def listing(key: str, **fields) -> Reply:
    return Reply(200, json.dumps({"total": 1, key: [fields]}).encode())


def test_many_jobs_are_asked_about_100_at_a_time(loopback, oozie):
    loopback.says(Reply(200, answer("jobs-none")))

    assert oozie.jobs([job(n) for n in range(250)]) == {}

    assert [asked.query["len"] for asked in loopback.asked] == ["100", "100", "50"]
    assert loopback.asked[2].query == {
        "jobtype": "wf",
        "filter": ";".join(f"id={job(n)}" for n in range(200, 250)),
        "len": "50",
    }


def test_each_kind_of_job_is_asked_about_by_itself(loopback, oozie):
    asked = [job(1, "B"), job(1), job(1, "C"), job(2, "B")]

    chunks = list(oozie.requests_for(asked))

    assert chunks == [[job(1)], [job(1, "C")], [job(1, "B"), job(2, "B")]]


def test_a_recorded_listing_tells_the_states(loopback, oozie):
    loopback.says(Reply(200, answer("jobs-by-id")))

    seen = oozie.jobs([job(0), job(6)])

    assert {each: seen[each].status for each in seen} == {job(6): "KILLED", job(0): "SUCCEEDED"}
    assert seen[job(6)].name == "sleep"
    assert seen[job(6)].user == "guest"
    assert seen[job(6)].ended_at == datetime(2026, 11, 22, 4, 56, 29, tzinfo=UTC)
    assert seen[job(6)].observed_at.tzinfo is UTC


def test_a_job_that_oozie_leaves_out_is_left_out(loopback, oozie):
    loopback.says(Reply(200, answer("jobs-one-unknown")))

    assert set(oozie.jobs([job(0), job(9)])) == {job(0)}


def test_coordinators_have_key_names_of_their_own(loopback, oozie):
    loopback.says(
        listing(
            "coordinatorjobs",
            coordJobId=job(1, "C"),
            coordJobName="daily",
            bundleId=job(2, "B"),
            status="RUNNINGWITHERROR",
            user="sam",
        )
    )

    seen = oozie.jobs([job(1, "C")])[job(1, "C")]

    assert loopback.asked[0].query["jobtype"] == "coord"
    assert (seen.name, seen.parent_id, seen.user) == ("daily", job(2, "B"), "sam")
    assert seen.status == JobStatus.RUNNINGWITHERROR


def test_bundles_have_key_names_of_their_own(loopback, oozie):
    loopback.says(
        listing("bundlejobs", bundleJobId=job(2, "B"), bundleJobName="all", status="DONEWITHERROR")
    )

    seen = oozie.jobs([job(2, "B")])[job(2, "B")]

    assert loopback.asked[0].query["jobtype"] == "bundle"
    assert (seen.name, seen.parent_id, seen.status) == ("all", None, JobStatus.DONEWITHERROR)


def test_a_state_that_nobody_knows_is_unknown(loopback, oozie):
    loopback.says(listing("workflows", id=job(1), status="LEVITATING"))

    assert oozie.jobs([job(1)])[job(1)].status == JobStatus.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [answer("jobs-by-id")[:400], b"{}", b'{"workflows": null}', b'{"workflows": {}}'],
)
def test_a_listing_that_is_not_whole_says_nothing_about_any_job(loopback, oozie, body):
    loopback.says(Reply(200, body))

    with pytest.raises(GatewayUnavailable):
        oozie.jobs([job(0)])


@pytest.mark.parametrize(
    "body", [b"{}", b'{"id": 1, "run": "x"}', b'{"id": "x", "createdTime": "yesterday"}']
)
def test_details_that_are_not_whole_are_an_outage(loopback, oozie, body):
    loopback.says(Reply(200, body))

    with pytest.raises(GatewayUnavailable):
        oozie.details(job(1))


def test_truncated_details_are_an_outage(loopback, oozie):
    loopback.says(Reply(200, answer("fail")[:1500]))

    with pytest.raises(GatewayUnavailable):
        oozie.details(job(1))


def test_a_recorded_failure_tells_its_cause_and_its_application(loopback, oozie):
    loopback.says(Reply(200, answer("fail")))

    details = oozie.details(job(1))

    [failed] = [each for each in details.actions if each.status == "ERROR"]
    assert details.observation.status == JobStatus.KILLED
    assert failed.error_code == "1"
    assert failed.error_message.endswith("exit code [1]")
    assert failed.started_at == datetime(2026, 11, 22, 4, 55, 59, tzinfo=UTC)
    assert loopback.asked[0].query == {"show": "info"}


@pytest.mark.parametrize(
    ("name", "number", "applications"),
    [
        ("fail", 1, ["1795323341942_0002"]),
        ("fork", 3, ["1795323341942_0005", "1795323341942_0006"]),
        ("count", 2, ["1795323341942_0003", "1795323341942_0004"]),
        ("parent", 4, []),
        ("child", 5, ["1795323341942_0008"]),
    ],
)
def test_recorded_jobs_name_their_applications(loopback, oozie, name, number, applications):
    loopback.says(Reply(200, answer(name)))

    details = oozie.details(job(number))

    found = [app.id for app in applications_of(job(number), details.actions)]
    assert found == [f"application_{each}" for each in applications]


def test_a_recorded_parent_leads_to_its_child(loopback, oozie):
    loopback.says(Reply(200, answer("parent")))

    details = oozie.details(job(4))

    assert [each.sub_workflow for each in details.actions if each.sub_workflow] == [job(5)]


def test_a_recorded_child_knows_its_parent(loopback, oozie):
    loopback.says(Reply(200, answer("child")))

    assert oozie.details(job(5)).observation.parent_id == job(4)


def test_a_recorded_rerun_is_a_higher_run(loopback, oozie):
    loopback.says(Reply(200, answer("fail-rerun")))

    seen = oozie.details(job(1)).observation

    assert (seen.run, seen.status) == (1, JobStatus.SUCCEEDED)


def test_actions_of_a_coordinator_are_no_actions_of_a_workflow(loopback, oozie):
    body = {"coordJobId": job(1, "C"), "status": "RUNNING", "actions": [{"id": "x@1"}]}
    loopback.says(Reply(200, json.dumps(body).encode()))

    assert oozie.details(job(1, "C")).actions == ()


def oozie_error(status: int, code: str) -> Reply:
    headers = {"oozie-error-code": code, "oozie-error-message": f"{code}: something"}
    return Reply(status, b'{"errorMessage": "something"}', headers)


def test_trouble_of_oozies_database_is_no_refusal_of_a_submission(loopback, oozie):
    loopback.says(oozie_error(400, "E0603"))

    with pytest.raises(GatewayUnavailable, match="E0603"):
        oozie.submit(b"<configuration/>")


@pytest.mark.parametrize("code", ["E0604", "E0605"])
def test_two_codes_mean_that_there_is_no_such_job(loopback, oozie, code):
    loopback.says(oozie_error(400, code))

    with pytest.raises(JobNotFound, match=job(1)):
        oozie.details(job(1))


@pytest.mark.parametrize(
    "reply",
    [
        oozie_error(400, "E0603"),  # SQL error
        oozie_error(400, "E0600"),
        oozie_error(400, "E0303"),
        oozie_error(500, "E0604"),
        Reply(400),
        Reply(404, b"<html>no such service</html>"),
        Reply(404, b"", {"oozie-error-code": "E0604"}),
    ],
)
def test_any_other_error_does_not_mean_that_a_job_is_gone(loopback, oozie, reply):
    loopback.says(reply)

    with pytest.raises(GatewayUnavailable):
        oozie.details(job(1))


def test_a_submission_is_started_at_once(loopback, oozie):
    loopback.says(Reply(201, json.dumps({"id": job(7)}).encode()))

    assert oozie.submit(b"<configuration/>") == job(7)

    [asked] = loopback.asked
    assert (asked.method, asked.query, asked.body) == (
        "POST",
        {"action": "start"},
        b"<configuration/>",
    )
    assert asked.headers["Content-Type"] == "application/xml;charset=UTF-8"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"id": null}'])
def test_a_submission_without_an_id_may_have_started(loopback, oozie, body):
    loopback.says(Reply(201, body))

    with pytest.raises(GatewayUnavailable):
        oozie.submit(b"<configuration/>")


def test_a_submission_that_oozie_does_not_take_is_refused(loopback, oozie):
    loopback.says(oozie_error(400, "E0307"))

    with pytest.raises(RequestRefused, match="E0307"):
        oozie.submit(b"<configuration/>")


def test_a_workflow_is_found_by_its_name_and_user(loopback, oozie):
    loopback.says(Reply(200, answer("jobs-one-unknown")))

    assert oozie.named("tracker-copy-1", "guest") == job(0)
    assert loopback.asked[0].query["filter"] == "name=tracker-copy-1;user=guest"


def test_a_workflow_is_also_found_of_a_user_whom_oozie_knows_by_the_login(loopback, oozie):
    loopback.says(Reply(200, answer("jobs-one-unknown")))

    assert oozie.named("tracker-copy-1", "short") == job(0)
    assert loopback.asked[0].query["filter"] == "name=tracker-copy-1;user=short;user=guest"


def test_a_name_that_oozie_does_not_have_finds_nothing(loopback, oozie):
    loopback.says(Reply(200, answer("jobs-none")))

    assert oozie.named("tracker-copy-1", "guest") is None


def test_oozies_own_list_is_handed_on_as_it_is(loopback, oozie):
    loopback.says(Reply(200, b'{"total": 0, "workflows": [], "offset": 2, "len": 3, "more": 1}'))

    told = oozie.listing({"offset": "2", "len": "3"})

    assert told == {"total": 0, "workflows": [], "offset": 2, "len": 3, "more": 1}
    assert loopback.asked[0].query == {"offset": "2", "len": "3"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("E0420", "E0420: Invalid jobs filter"),
        ("E1603", 'For input string: "odd"'),
        ("E0603", "E0603: SQL error in operation, E0302: Invalid parameter"),
    ],
)
def test_parameters_that_oozie_does_not_understand_are_the_callers_to_mend(
    loopback, oozie, code, words
):
    loopback.says(Reply(400, b"", {"oozie-error-code": code, "oozie-error-message": words}))

    with pytest.raises(BadInput, match="Oozie does not understand"):
        oozie.listing({})


def test_trouble_of_oozies_database_is_nobodys_fault(loopback, oozie):
    trouble = {"oozie-error-code": "E0603", "oozie-error-message": "E0603: SQL error"}
    loopback.says(Reply(400, b"", trouble))

    with pytest.raises(GatewayUnavailable):
        oozie.listing({})


def retries(*told: object) -> Reply:
    return Reply(200, json.dumps({"retries": told}).encode())


def test_the_tries_of_an_action_are_told_with_the_launcher_that_only_an_address_names(
    loopback, oozie
):
    last = action(job(1), "in dex", APP_3, retry_count=2)
    loopback.says(
        retries(
            {"attempt": "1", "consoleUrl": f"http://knox/yarn/proxy/{APP_1}/?x=1"},
            {
                "attempt": "2",
                "consoleUrl": "http://history/job_1795323341942_0005",
                "externalChildIDs": "job_1795323341942_0006",
            },
        )
    )

    first, second = oozie.earlier_tries(last)

    assert (first.external_id, first.child_ids, first.retry_count) == (APP_1, "", 0)
    assert (second.external_id, second.child_ids) == (APP_2, "job_1795323341942_0006")
    assert second.name == "in dex"
    [asked] = loopback.asked
    assert asked.path.endswith(f"/oozie/v2/job/{job(1)}@in%20dex")
    assert asked.query == {"show": "retries"}


def test_a_try_that_started_nothing_has_no_launcher(loopback, oozie):
    loopback.says(retries({"attempt": "1", "consoleUrl": None}))

    [first] = oozie.earlier_tries(action(job(1), "index", APP_1, retry_count=1))

    assert first.external_id is None


def test_an_oozie_that_does_not_tell_of_tries_is_gone_on_without(loopback, oozie):
    loopback.says(Reply(400, b"{}", {"oozie-error-code": "E0303"}))

    assert oozie.earlier_tries(action(job(1), "index", APP_1, retry_count=1)) == []


@pytest.mark.parametrize(
    ("reply", "raised"),
    [
        (Reply(400, b"{}", {"oozie-error-code": "E0605"}), JobNotFound),
        (Reply(400, b"{}", {"oozie-error-code": "E0603"}), GatewayUnavailable),
        (Reply(200, b""), GatewayUnavailable),
        (Reply(200, b"{}"), GatewayUnavailable),
        (Reply(200, b'{"retries": ["half"]}'), GatewayUnavailable),
        (Reply(200, b'{"retries": [{"attempt": "one"}]}'), GatewayUnavailable),
    ],
)
def test_tries_that_are_not_told_are_never_no_tries(loopback, oozie, reply, raised):
    loopback.says(reply)

    with pytest.raises(raised):
        oozie.earlier_tries(action(job(1), "index", APP_1, retry_count=1))


def coordinator(*actions: object, **more: object) -> Reply:
    body = {"coordJobId": job(1, "C"), "status": "RUNNING", "actions": actions, **more}
    return Reply(200, json.dumps(body).encode())


def test_the_actions_of_a_coordinator_are_asked_for_by_pages_and_name_their_workflows(
    loopback, oozie
):
    told = [
        {"id": "x@1", "externalId": job(11)},
        {"id": "x@2", "externalId": None},
        {"id": "x@3"},
        {"id": "x@4", "externalId": "../nonsense-W"},
    ]
    loopback.says(coordinator(*told), coordinator(*[{"externalId": job(12)}] * 1000))

    first, second = oozie.children(job(1, "C")), oozie.children(job(1, "C"), 1)

    assert first.observation.status == JobStatus.RUNNING
    assert first.started == (job(11), None, None, None)
    assert (first.is_last, second.is_last) == (True, False)
    assert [asked.query for asked in loopback.asked] == [
        {"offset": "1", "len": "1000"},
        {"offset": "1001", "len": "1000"},
    ]


def test_a_bundle_names_its_coordinators(loopback, oozie):
    body = {
        "bundleJobId": job(2, "B"),
        "status": "RUNNING",
        "bundleCoordJobs": [{"coordJobId": job(1, "C")}, {"coordJobId": job(3, "C")}],
    }
    loopback.says(Reply(200, json.dumps(body).encode()))

    told = oozie.children(job(2, "B"))

    assert told.started == (job(1, "C"), job(3, "C"))
    assert told.is_last


@pytest.mark.parametrize(
    ("reply", "raised"),
    [
        (Reply(400, b"{}", {"oozie-error-code": "E0604"}), JobNotFound),
        (Reply(400, b"{}", {"oozie-error-code": "E0603"}), GatewayUnavailable),
        (Reply(200, b'{"coordJobId": "half'), GatewayUnavailable),
        (Reply(200, b'{"coordJobId": "x"}'), GatewayUnavailable),
        (coordinator("half"), GatewayUnavailable),
    ],
)
def test_an_answer_without_actions_is_never_a_coordinator_without_any(
    loopback, oozie, reply, raised
):
    loopback.says(reply)

    with pytest.raises(raised):
        oozie.children(job(1, "C"))


def test_a_secret_in_the_error_of_an_action_is_hidden_before_anybody_keeps_it(loopback, session):
    failed = {
        "id": f"{job(1)}@load",
        "name": "load",
        "errorMessage": "no jdbc:x?password=swordfish",
    }
    told = {"id": job(1), "status": "KILLED", "actions": [failed]}
    loopback.says(Reply(200, json.dumps(told).encode()))
    oozie = Oozie(session, hide=partial(hidden, Secrets({})))

    [action] = oozie.details(job(1)).actions

    assert action.error_message == "no jdbc:x?password=***"
