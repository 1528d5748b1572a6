"""Ids that are posted as tools write them, and ids of actions."""

from __future__ import annotations

import json

import pytest

from tests.unit.calls import GUEST, assert_problem, get, post, posted_states, tracked
from tests.unit.fakes import APP_1, action, details, job
from tracker_service.domain.jobs import JobId

FORM = "application/x-www-form-urlencoded"
C = job(7, "C")


def number(position: int) -> JobId:
    """Return the id of an action of the coordinator."""
    return JobId(f"{C}@{position}")


@pytest.fixture
def coordinator(oozie):
    """A coordinator with an action that has started job 1, one that job 2, and one that waits."""
    oozie.has(
        details(C),
        details(number(1), "RUNNING"),
        details(number(2), "SUCCEEDED"),
        details(number(3), "WAITING"),
    )
    work = action(job(1), "work", APP_1)
    oozie.has(details(job(1), "RUNNING", work, parent_id=number(1)))
    oozie.started |= {number(1): [job(1)], number(2): [job(2)], number(3): [None]}
    return oozie


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (f"\ufeff{job(1)}\n{job(2)}", "text/plain"),
        (f"{job(1)}\r\n{job(2)}\r\n".encode("utf-16"), "text/plain"),
        (f"{job(1)}\n{job(2)}".encode("utf-16"), "text/plain; charset=utf-16"),
        (f"{job(1)}\n{job(2)}".encode("utf-16-le"), "text/plain; charset=utf-16le"),
        (f"{job(1)}\n{job(2)}".encode("utf-16-le"), "text/plain"),
        (f"# für\n{job(1)}\n{job(2)}".encode("latin-1"), "text/plain; charset=iso-8859-1"),
        (f"job: {job(1)}\njob: {job(2)}\n", "text/plain"),
        (f'"{job(1)}"; "{job(2)}"', "text/csv"),
        (f"{job(1)},{job(2)}", FORM),
        (f"{job(1)}%0A{job(2)}%0A", FORM),
        (f"id={job(1)}&id={job(2)}", FORM),
        (json.dumps([job(1), job(2)]), FORM),
        (json.dumps([job(1), job(2)]), "text/plain"),
        (f"{job(1)} {job(2)}", ""),
        ("\ufeff" + json.dumps([job(1), job(2)]), "application/json"),
        (json.dumps({"id": [job(1), job(2)]}).encode("utf-16"), "application/json"),
        (json.dumps([f"job: {job(1)}", f"\u200b{job(2)}\n"]), "application/json"),
        (json.dumps([{"id": job(1), "status": "KILLED"}, {"id": job(2)}]), "application/json"),
        (json.dumps(f"{job(1)},{job(2)}"), "text/json"),
    ],
)
def test_ids_are_taken_as_tools_write_them(client, oozie, store, body, kind):
    assert list(posted_states(post(client, body, kind))) == [job(1), job(2)]
    assert tracked(store) == {job(1), job(2)}


@pytest.mark.parametrize("is_down", [False, True])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (job(1) + job(2), "text/plain"),
        (job(1) + job(2), FORM),
        (f"{job(3)}\n{job(1)}{job(2)}", "text/plain"),
        (json.dumps([job(1) + job(2)]), "application/json"),
        (f"{job(1)}@load{job(2)}", FORM),
    ],
)
def test_ids_in_one_line_are_refused_whether_oozie_answers_or_not(
    client, oozie, store, body, kind, is_down
):
    oozie.is_down = is_down

    assert "--data-binary" in assert_problem(post(client, body, kind), 400)
    assert tracked(store) == set()


def test_a_charset_that_nobody_knows_is_refused_by_its_name(client, oozie):
    told = assert_problem(post(client, job(1), "text/plain; charset=klingon"), 415)

    assert "klingon" in told


def test_a_body_that_is_not_in_its_charset_is_refused_by_its_name(client, oozie):
    told = assert_problem(post(client, b"\xe4", "text/plain; charset=us-ascii"), 400)

    assert "us-ascii" in told


def test_an_action_of_a_workflow_means_the_workflow_and_that_is_told(client, oozie, store):
    answer = post(client, f"{job(2)}\n{job(1)}@load").json

    assert [(each["id"], each.get("posted")) for each in answer] == [
        (job(2), None),
        (job(1), f"{job(1)}@load"),
    ]
    assert answer[1]["message"] == (
        f"{job(1)}@load is an action of the workflow {job(1)}, which is tracked."
    )
    assert tracked(store) == {job(1), job(2)}


def test_an_action_of_a_coordinator_becomes_the_workflow_that_it_has_started(
    client, coordinator, store
):
    [answer] = post(client, number(1)).json

    assert (answer["id"], answer["posted"], answer["status"]) == (job(1), number(1), "RUNNING")
    assert answer["message"] == f"{number(1)} has started the workflow {job(1)}, which is tracked."
    assert answer["applications-ids"] != []
    assert tracked(store) == {job(1)}


def test_an_action_that_has_started_nothing_is_tracked_itself(client, coordinator, store):
    [answer] = post(client, number(3)).json

    assert (answer["id"], answer["status"]) == (number(3), "WAITING")
    assert "as soon as it has" in answer["message"]
    assert tracked(store) == {number(3)}


def test_of_an_action_that_ended_without_a_workflow_this_is_told(client, coordinator):
    coordinator.has(details(number(3), "TIMEDOUT"))

    [answer] = post(client, number(3)).json

    assert answer["message"] == f"{number(3)} ended as TIMEDOUT and has started no workflow."


def test_many_actions_are_answered_one_by_one_in_their_order(client, coordinator, store):
    answer = post(client, f"{job(2)},{C}@1-3 {number(9)}")

    assert [each["id"] for each in answer.json] == [job(2), job(1), job(2), number(3), number(9)]
    assert [each["status"] for each in answer.json][3:] == ["WAITING", "NOT_FOUND"]
    assert tracked(store) == {job(1), job(2), number(3)}


def test_actions_that_oozie_does_not_know_are_not_found(client, coordinator, store):
    assert_problem(post(client, number(9)), 404)
    assert tracked(store) == set()


def test_while_oozie_is_away_an_action_is_tracked_itself(client, coordinator, store):
    coordinator.is_down = True

    assert posted_states(post(client, f"{C}@1-3\n{job(2)}")) == dict.fromkeys(
        [number(1), number(2), number(3), job(2)], "UNKNOWN"
    )
    assert tracked(store) == {number(1), number(2), number(3), job(2)}
    assert len(coordinator.asked_children) == 1


def test_more_actions_than_oozie_should_be_asked_about_at_once_are_refused(client, coordinator):
    body = f"{C}@1-60\n{job(8, 'C')}@1-60"

    assert "120" in assert_problem(post(client, body), 413)


@pytest.mark.parametrize("path", ["", "/status", "/logs/status"])
def test_a_job_is_shown_by_the_id_of_its_action_and_the_answer_names_it(client, coordinator, path):
    for written in (number(1), f"{job(1)}@load"):
        answer = get(client, f"/api/job/{written}{path}")

        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Location"] == f"/api/job/{job(1)}{path}"
    assert "Content-Location" not in get(client, f"/api/job/{job(1)}{path}").headers


def test_an_action_that_has_started_nothing_is_shown_itself(client, coordinator):
    post(client, number(3))

    shown = get(client, f"/api/job/{number(3)}").json

    assert (shown["id"], shown["status"], shown["tracked"]) == (number(3), "WAITING", True)


def test_a_tracked_workflow_is_found_by_its_action_without_oozie(client, coordinator):
    post(client, number(1))
    coordinator.is_down = True

    assert get(client, f"/api/job/{number(1)}").json["id"] == job(1)


def test_several_actions_are_no_one_job(client, coordinator):
    assert "3 jobs" in assert_problem(get(client, f"/api/job/{C}@1-3"), 400)


def test_a_workflow_is_not_tracked_any_more_by_the_id_of_its_action(client, coordinator, store):
    post(client, f"{number(1)}\n{number(3)}")

    for action_id in (number(1), number(3)):
        answer = client.delete(f"/api/task/track/{action_id}", auth=GUEST)
        assert answer.status_code == 204

    assert not any(get(client, f"/api/job/{each}").json["tracked"] for each in (job(1), number(3)))
    assert_problem(client.delete(f"/api/task/track/{number(1)}", auth=GUEST), 404)


def test_a_notification_of_an_action_hastens_all_that_it_is_about(client, coordinator):
    token = client.post("/api/notify-tokens", auth=GUEST).json["token"]
    post(client, f"{number(1)}\n{number(3)}")

    def notify(job_id: str) -> bool:
        return client.get(f"/api/notify/{token}?id={job_id}").json["hinted"]

    assert notify(number(1))
    assert notify(number(3))
    assert not notify(number(2))
    assert notify(f"{job(1)}@load")


def test_logs_are_saved_by_the_id_of_an_action(client, coordinator, store):
    answer = client.post(
        "/api/task/copy-logs/", data=number(1), content_type="text/plain", auth=GUEST
    )

    assert [copy["id"] for copy in answer.json["jobs"]] == [job(1)]
