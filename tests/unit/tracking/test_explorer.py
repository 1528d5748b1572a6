from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.fakes import (
    APP_1,
    APP_2,
    APP_3,
    FakeAccess,
    FakeHdfs,
    FakeOozie,
    FakeYarn,
    action,
    details,
    job,
    sub_workflow,
)
from tracker_service.domain.applications import yarn_tags
from tracker_service.domain.jobs import JobDetails
from tracker_service.errors import AccessDenied, GatewayUnavailable, JobNotFound, RequestRefused
from tracker_service.tracking.explorer import explore


@pytest.fixture
def access() -> FakeAccess:
    return FakeAccess(FakeOozie(), FakeYarn(), FakeHdfs())


def applications(access: FakeAccess, number: int = 1) -> list[str]:
    return [app.id for app in explore(access, job(number)).applications]


def failed(number: int, *actions, **more) -> JobDetails:
    return details(job(number), "KILLED", *actions, **more)


def tag_of(member: JobDetails, number: int = 0) -> str:
    return min(yarn_tags(member.observation, member.actions[number]))


def test_the_applications_of_a_failed_job_are_found(access):
    access.oozie.has(failed(1, action(job(1), "a", APP_1), action(job(1), "b", APP_2)))

    assert applications(access) == [APP_1, APP_2]


def test_those_of_sub_workflows_are_found_however_deep(access):
    access.oozie.has(
        failed(1, action(job(1), "a", APP_1), sub_workflow(job(1), "call", job(2))),
        failed(2, sub_workflow(job(2), "call", job(3)), action(job(2), "b", APP_2)),
        failed(3, action(job(3), "c", APP_3)),
    )

    found = explore(access, job(1)).applications

    assert [(app.id, app.workflow_id) for app in found] == [
        (APP_1, job(1)),
        (APP_2, job(2)),
        (APP_3, job(3)),
    ]


def test_workflows_that_call_each_other_are_asked_about_once(access):
    access.oozie.has(
        failed(1, sub_workflow(job(1), "call", job(2)), sub_workflow(job(1), "again", job(2))),
        failed(2, sub_workflow(job(2), "call", job(1)), action(job(2), "b", APP_2)),
    )

    assert applications(access) == [APP_2]
    assert access.oozie.asked == [job(1), job(2)]


def test_a_sub_workflow_that_was_purged_hides_no_other(access):
    access.oozie.has(
        failed(1, sub_workflow(job(1), "gone", job(9)), sub_workflow(job(1), "call", job(2))),
        failed(2, action(job(2), "b", APP_2)),
    )

    assert applications(access) == [APP_2]


def test_below_a_job_that_has_not_failed_nobody_looks(access):
    for number, status in ((1, "RUNNING"), (2, "SUCCEEDED")):
        calls = sub_workflow(job(number), "call", job(9))
        access.oozie.has(details(job(number), status, action(job(number), "a", APP_1), calls))

        exploration = explore(access, job(number))

        assert [app.id for app in exploration.applications] == [APP_1]
        assert exploration.is_complete
    assert access.oozie.asked == [job(1), job(2)]
    assert access.yarn.asked_tags == set()


def test_a_child_that_was_never_written_down_is_found_by_its_tag(access):
    member = failed(1, action(job(1), "count", APP_1))
    access.oozie.has(member)
    access.yarn.tags = {tag_of(member): APP_2}

    launcher, child = explore(access, job(1)).applications

    assert launcher.id == APP_1
    assert (child.id, child.action, child.role) == (APP_2, "count", "child")


def test_a_child_of_a_sub_workflow_is_found_by_its_tag(access):
    below = failed(2, action(job(2), "count", APP_1), parent_id=job(1))
    access.oozie.has(failed(1, sub_workflow(job(1), "call", job(2))), below)
    access.yarn.tags = {tag_of(below): APP_2}

    assert applications(access) == [APP_1, APP_2]


def test_a_child_that_was_written_down_is_not_told_twice(access):
    member = failed(1, action(job(1), "count", APP_1, child_ids="job_1795323341942_0005"))
    access.oozie.has(member)
    access.yarn.tags = {tag_of(member): APP_2}

    assert applications(access) == [APP_1, APP_2]


def test_actions_that_started_nothing_have_no_tag(access):
    access.oozie.has(failed(1, action(job(1), ":start:", "-"), action(job(1), "a", None)))

    explore(access, job(1))

    assert access.yarn.asked_tags == set()


def test_without_the_resource_manager_the_search_is_not_complete(access):
    access.oozie.has(failed(1, action(job(1), "a", APP_1)))
    access.yarn.trouble = GatewayUnavailable()

    exploration = explore(access, job(1))

    assert not exploration.is_complete
    assert [app.id for app in exploration.applications] == [APP_1]


@pytest.mark.parametrize("trouble", [AccessDenied(), RequestRefused()])
def test_a_search_that_is_not_allowed_is_not_waited_for(access, trouble):
    access.oozie.has(failed(1, action(job(1), "a", APP_1)))
    access.yarn.trouble = trouble

    assert explore(access, job(1)).is_complete


@pytest.mark.parametrize("trouble", [JobNotFound(), GatewayUnavailable(), AccessDenied()])
def test_trouble_with_the_job_itself_is_told(access, trouble):
    access.oozie.troubles[job(1)] = trouble

    with pytest.raises(type(trouble)):
        explore(access, job(1))


@pytest.mark.parametrize("trouble", [AccessDenied(), RequestRefused()])
def test_a_sub_workflow_that_may_not_be_seen_hides_no_other(access, trouble):
    access.oozie.has(failed(1, action(job(1), "a", APP_1), sub_workflow(job(1), "call", job(2))))
    access.oozie.troubles[job(2)] = trouble

    assert applications(access) == [APP_1]


def retried(number: int, name: str, external_id: str, count: int = 1, **more):
    return action(job(number), name, external_id, retry_count=count, **more)


def test_the_applications_of_all_tries_of_a_repeated_action_are_found(access):
    last = retried(1, "index", APP_3, count=2)
    access.oozie.has(failed(1, last))
    access.oozie.tries = {
        last.id: [
            replace(last, external_id=APP_1),
            replace(last, external_id=None, child_ids="job_1795323341942_0005"),
        ]
    }

    found = explore(access, job(1)).applications

    assert [(app.id, app.action, app.role) for app in found] == [
        (APP_3, "index", "launcher"),
        (APP_1, "index", "launcher"),
        (APP_2, "index", "child"),
    ]


def test_a_repeated_action_of_a_sub_workflow_tells_of_its_tries_too(access):
    last = retried(2, "index", APP_2)
    access.oozie.has(failed(1, sub_workflow(job(1), "call", job(2))), failed(2, last))
    access.oozie.tries = {last.id: [replace(last, external_id=APP_1)]}

    found = explore(access, job(1)).applications

    assert [(app.id, app.workflow_id) for app in found] == [(APP_2, job(2)), (APP_1, job(2))]


def test_nobody_asks_for_the_tries_of_an_action_that_had_one(access):
    access.oozie.has(failed(1, action(job(1), "work", APP_1)))

    explore(access, job(1))

    assert access.oozie.asked_tries == []


@pytest.mark.parametrize("trouble", [JobNotFound(), AccessDenied(), RequestRefused()])
def test_tries_that_oozie_does_not_tell_are_not_waited_for(access, trouble):
    last = retried(1, "index", APP_1)
    access.oozie.has(failed(1, last))
    access.oozie.troubles[last.id] = trouble
    access.yarn.tags = {tag_of(failed(1, last)): APP_2}

    exploration = explore(access, job(1))

    assert [app.id for app in exploration.applications] == [APP_1, APP_2]
    assert exploration.is_complete


def test_tries_that_oozie_cannot_tell_now_make_the_search_incomplete_and_hide_no_child(access):
    last = retried(1, "index", APP_1)
    access.oozie.has(failed(1, last))
    access.oozie.troubles[last.id] = GatewayUnavailable()
    access.yarn.tags = {tag_of(failed(1, last)): APP_2}

    exploration = explore(access, job(1))

    assert [app.id for app in exploration.applications] == [APP_1, APP_2]
    assert not exploration.is_complete
