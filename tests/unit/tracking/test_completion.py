from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.fakes import (
    APP_1,
    APP_2,
    NOW,
    AtOnce,
    Clock,
    Engine,
    FakeCluster,
    FragileStore,
    Ticks,
    a_cause,
    action,
    details,
    job,
    seen,
    sub_workflow,
)
from tests.unit.held import Held
from tracker_service.archive.manifest import write_manifest
from tracker_service.domain.applications import applications_of
from tracker_service.domain.copies import CopyPolicy, CopyStatus
from tracker_service.domain.tasks import TaskState
from tracker_service.errors import CredentialsRefused, GatewayUnavailable
from tracker_service.identities import Identities
from tracker_service.identities.keys import KeyRing
from tracker_service.store import causes, copies, credentials, jobs, jobsets, track_tasks
from tracker_service.tracking import outcome
from tracker_service.tracking.completion import Completion

FAILED = details(job(1), "KILLED", action(job(1), "work", APP_1))
MORE = details(job(1), "KILLED", action(job(1), "work", APP_1), action(job(1), "more", APP_2))


@dataclass
class Completing(Held):
    """The search for applications of one worker, and what the tests ask about it."""

    completion: Completion

    def track(self, *numbers: int, owner: str = "guest", password: str = "guest-password") -> None:
        """Track jobs that have failed, as far as the poller brings them."""
        super().track(*numbers, owner=owner, password=password)
        for task in self.tasks():
            if task.state == TaskState.WATCHING:
                known = self.cluster.oozie.known[task.job_id]
                with self.store.begin() as connection:
                    decided = outcome.record_details(connection, task, known, (), NOW)
                    outcome.next_step(connection, decided, NOW)
        self.load()

    def load(self) -> None:
        with self.store.read() as connection:
            for held in jobsets.held(connection, "worker"):
                live = track_tasks.live(connection, held.lease)
                copying = [task for task in live if task.state == TaskState.COPYING]
                self.completion.load(held.lease, copying, self.ticks.now)

    def go_on(self, seconds: float) -> None:
        """Look for work until this time has passed."""
        end = self.ticks.now + seconds
        while self.ticks.now < end:
            self.ticks.now += 0.5
            self.completion.advance()


@pytest.fixture
def completing(
    store: FragileStore,
    identities: Identities,
    fake_cluster: FakeCluster,
    key_ring: KeyRing,
    engine: Engine,
    now: Clock,
    ticks: Ticks,
) -> Completing:
    completion = Completion(store, identities, AtOnce(), write_manifest, engine, now)
    fake_cluster.oozie.has(FAILED)
    return Completing(store, fake_cluster, key_ring, ticks, completion)


@pytest.fixture
def oozie(fake_cluster: FakeCluster):
    return fake_cluster.oozie


def manifest(completing: Completing) -> dict[str, Any]:
    [file] = [f for f in completing.cluster.homes["guest"].files if f.endswith("manifest.json")]
    return json.loads(completing.cluster.homes["guest"].files[file])


def cause_of(completing: Completing, number: int, owner: str = "guest"):
    with completing.store.read() as connection:
        kept = causes.find(connection, job(number), owner)
    return kept.cause if kept else None


def test_why_a_job_failed_is_concluded_once_its_logs_are_saved(completing, engine):
    engine.says = a_cause()
    completing.track(1)
    completing.go_on(10)
    assert (engine.asked, cause_of(completing, 1)) == ([], None)

    completing.save_all(1)
    completing.go_on(10)

    assert cause_of(completing, 1) == a_cause()
    assert manifest(completing)["cause"]["summary"] == a_cause().summary
    [failure] = engine.asked
    assert (failure.job_id, failure.run, failure.status) == (job(1), 0, "KILLED")
    assert [each.name for each in failure.actions] == ["work"]
    assert [(each.application, each.is_saved) for each in failure.witnesses] == [(APP_1, True)]


def test_a_cause_without_all_logs_is_not_complete(completing, store, engine):
    engine.says = a_cause()
    completing.track(1)
    completing.go_on(10)
    with store.begin() as connection:
        copies.change(connection, *completing.copies(1), status=CopyStatus.FAILED)

    completing.go_on(10)

    assert cause_of(completing, 1) == a_cause(is_complete=False)


def test_a_job_that_never_had_an_application_has_a_cause_too(completing, oozie, engine):
    engine.says = a_cause()
    oozie.has(details(job(1), "FAILED", action(job(1), "work", error_message="no such file")))
    completing.track(1)

    completing.go_on(10)

    assert not completing.is_live(1)
    assert cause_of(completing, 1) == a_cause()
    assert engine.asked[0].actions[0].error_message == "no such file"


def test_what_failed_in_a_sub_workflow_is_looked_at_too(completing, oozie, engine):
    oozie.has(
        details(job(1), "KILLED", sub_workflow(job(1), "child", job(2))),
        details(job(2), "KILLED", action(job(2), "below", APP_2)),
    )
    engine.says = a_cause()
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)

    completing.go_on(10)

    [failure] = engine.asked
    assert [each.name for each in failure.actions] == ["child", "below"]
    assert [each.workflow_id for each in failure.witnesses] == [job(2)]


def test_a_log_that_is_found_later_is_thought_about_anew(completing, oozie, engine, now):
    engine.says = a_cause(fingerprint="of one log")
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    oozie.has(MORE)
    completing.completion.advance()

    engine.says = a_cause(fingerprint="of both")
    now.advance(seconds=1)
    with completing.store.begin() as connection:
        new = completing.copies(1)[1]
        copies.change(connection, new, status=CopyStatus.SUCCEEDED, saved_at=now())
    now.advance(seconds=1)
    completing.go_on(10)

    assert cause_of(completing, 1).fingerprint == "of both"
    assert not completing.is_live(1)


def test_a_rule_that_breaks_keeps_no_task_alive(completing, engine):
    engine.says = ValueError("nobody thought of this log")
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)

    completing.go_on(10)

    assert not completing.is_live(1)
    assert cause_of(completing, 1) is None
    assert manifest(completing)["cause"] is None


def test_a_worker_that_has_lost_its_lease_keeps_no_cause(completing, engine):
    engine.says = a_cause()
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    completing.lose_lease()

    completing.go_on(10)

    assert cause_of(completing, 1) is None


def test_a_job_that_succeeded_has_no_cause(completing, engine):
    want_copies(completing, "SUCCEEDED")
    completing.go_on(10)
    completing.save_all(1)
    completing.go_on(10)

    assert not completing.is_live(1)
    assert engine.asked == []


def test_a_job_is_searched_at_once(completing):
    completing.track(1)

    completing.completion.advance()

    assert completing.copied(1) == [APP_1]
    assert completing.is_live(1)


def test_a_job_is_not_searched_again_before_its_logs_are_saved(completing, oozie):
    completing.track(1)

    completing.go_on(100)

    assert oozie.asked == [job(1)]
    assert completing.is_live(1)


def test_a_task_ends_when_all_is_saved_and_nothing_more_is_found(completing, oozie):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)

    completing.completion.advance()

    assert oozie.asked == [job(1)] * 2
    assert not completing.is_live(1)
    assert completing.task(1).reason is None
    assert completing.kept() is None


def test_a_task_does_not_end_before_the_manifest_tells_of_a_log_that_was_saved_just_now(
    completing, store
):
    completing.track(1)
    completing.go_on(10)
    completing.completion.drop(completing.tasks()[0].lease.jobset_id)
    completing.load()  # as after a crash: all is searched again
    begin = store.begin

    def save_first():
        store.begin = begin
        completing.save_all(1)
        return begin()

    store.begin = save_first  # between the look at the copies and the end of the task
    completing.ticks.now += 10
    completing.completion.advance()

    assert completing.is_live(1)
    completing.go_on(10)
    assert not completing.is_live(1)
    with store.read() as connection:
        assert track_tasks.manifest_at(connection, completing.task(1).id) is not None


def test_an_ended_task_is_not_searched_again(completing, oozie):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    completing.go_on(10)

    assert oozie.asked == [job(1)] * 2


def test_a_task_does_not_end_before_yarn_has_heard_of_everything(completing, oozie):
    completing.track(1)
    completing.completion.advance()
    completing.save_all(1)

    completing.go_on(4.5)
    assert completing.is_live(1)
    assert oozie.asked == [job(1)]

    completing.go_on(0.5)
    assert not completing.is_live(1)


def test_an_application_that_turns_up_late_is_saved_too(completing, oozie):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    oozie.has(MORE)

    completing.completion.advance()
    assert completing.copied(1) == [APP_1, APP_2]
    assert completing.is_live(1)

    completing.save_all(1)
    completing.completion.advance()
    assert not completing.is_live(1)


def test_applications_of_sub_workflows_are_saved_too(completing, oozie):
    oozie.has(
        details(job(1), "KILLED", sub_workflow(job(1), "child", job(2))),
        details(job(2), "KILLED", action(job(2), "work", APP_2)),
    )
    completing.track(1)

    completing.completion.advance()

    assert completing.copied(1) == [APP_2]


def test_a_job_without_applications_ends_its_task_after_the_search(completing, oozie):
    oozie.has(details(job(1), "KILLED"))
    completing.track(1)

    completing.go_on(4.5)
    assert completing.is_live(1)

    completing.go_on(0.5)
    assert not completing.is_live(1)
    assert completing.copied(1) == []


def test_while_the_resource_manager_is_away_a_task_goes_on_and_asks_seldom(
    completing, oozie, fake_cluster
):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    oozie.asked.clear()
    fake_cluster.yarn.trouble = GatewayUnavailable()

    completing.go_on(3600)

    assert completing.is_live(1)
    assert len(oozie.asked) <= 18  # after 5, 10, 20 … 300 s

    fake_cluster.yarn.trouble = None
    completing.go_on(300)
    assert not completing.is_live(1)


def test_what_was_found_while_a_part_of_the_cluster_was_away_is_saved(completing, fake_cluster):
    completing.track(1)
    fake_cluster.yarn.trouble = GatewayUnavailable()

    completing.completion.advance()

    assert completing.copied(1) == [APP_1]


def test_after_hours_of_outage_a_task_ends_with_what_was_found(completing, fake_cluster):
    completing.track(1)
    fake_cluster.yarn.trouble = GatewayUnavailable()
    completing.go_on(10)
    completing.save_all(1)

    completing.ticks.now += 6 * 3600
    completing.completion.advance()

    assert not completing.is_live(1)
    assert "could not be asked" in completing.task(1).reason


def test_no_outage_ends_a_task_whose_logs_are_not_saved(completing, fake_cluster):
    completing.track(1)
    fake_cluster.yarn.trouble = GatewayUnavailable()

    completing.ticks.now += 100 * 3600
    completing.completion.advance()

    assert completing.is_live(1)


def test_one_request_is_enough_to_notice_an_outage(completing, oozie):
    oozie.has(*(details(job(n), "KILLED") for n in range(1, 11)))
    completing.track(*range(1, 11))
    oozie.is_down = True

    completing.completion.advance()

    assert len(oozie.asked) == 1


def test_a_job_that_cannot_be_searched_does_not_block_others(completing, oozie):
    oozie.has(*(details(job(n), "KILLED") for n in range(1, 11)))
    completing.track(*range(1, 11))
    oozie.troubles[job(1)] = GatewayUnavailable()

    completing.go_on(10)

    assert [n for n in range(1, 11) if completing.is_live(n)] == [1]


def test_trouble_of_one_user_does_not_stop_another(completing, oozie):
    oozie.has(details(job(2), "KILLED"))
    completing.track(1)
    completing.track(2, owner="sam", password="sam-password")
    oozie.troubles[job(1)] = RuntimeError("broken")

    completing.go_on(10)

    assert completing.is_live(1)
    assert completing.task(2, "sam").state == "ended"


def test_a_job_that_was_purged_meanwhile_ends_with_what_was_found(completing, oozie):
    completing.track(1)
    completing.go_on(10)
    del oozie.known[job(1)]

    completing.go_on(10)
    assert completing.is_live(1)

    completing.save_all(1)
    completing.go_on(1)
    assert not completing.is_live(1)
    assert job(1) in completing.task(1).reason
    assert completing.state(1) == "KILLED"


def test_a_job_that_was_run_again_is_watched_again(completing, oozie):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    oozie.has(details(job(1), "RUNNING", run=1))

    completing.go_on(10)

    assert completing.task(1).state == "watching"
    assert completing.task(1).job.run == 1
    assert oozie.asked == [job(1)] * 2


def test_a_jobset_that_another_worker_has_taken_is_dropped(completing, oozie):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    completing.lose_lease()
    oozie.has(MORE)

    completing.go_on(600)

    assert completing.is_live(1)
    assert completing.copied(1) == [APP_1]
    assert oozie.asked == [job(1)] * 2


def test_a_dropped_jobset_is_not_searched(completing, oozie):
    completing.track(1)
    [task] = completing.tasks()

    completing.completion.drop(task.lease.jobset_id)
    completing.go_on(10)

    assert oozie.asked == []


def test_loading_again_keeps_what_was_searched(completing, oozie):
    completing.track(1)
    completing.go_on(10)

    completing.load()
    completing.go_on(10)

    assert oozie.asked == [job(1)]


def test_what_was_not_committed_is_tried_again(completing, store, oozie):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    oozie.has(MORE)
    store.is_broken = True
    completing.go_on(1)
    store.is_broken = False
    assert completing.copied(1) == [APP_1]
    assert completing.task(1).state == "copying"

    completing.go_on(5)
    assert completing.copied(1) == [APP_1, APP_2]

    completing.save_all(1)
    completing.go_on(5)
    assert not completing.is_live(1)


def test_an_end_that_was_not_committed_is_tried_again(completing, store):
    completing.track(1)
    completing.go_on(10)
    completing.save_all(1)
    store.is_broken = True
    completing.go_on(1)
    assert completing.is_live(1)
    store.is_broken = False

    completing.go_on(5)

    assert not completing.is_live(1)


def test_while_a_credential_rests_a_task_goes_on(completing, oozie):
    completing.track(1)
    oozie.troubles[job(1)] = CredentialsRefused()

    completing.go_on(1)

    assert completing.is_live(1)
    assert "refused" in completing.task(1).reason
    assert completing.kept().refusals == 1


def test_logs_that_could_not_be_saved_end_a_task_too(completing, store):
    completing.track(1)
    completing.go_on(10)
    with store.begin() as connection:
        copies.change(connection, *completing.copies(1), status=CopyStatus.FAILED)

    completing.go_on(1)

    assert not completing.is_live(1)


def test_what_is_unexpected_at_one_job_stops_no_other(completing, oozie):
    oozie.has(*(details(job(number), "KILLED") for number in range(1, 6)))
    completing.track(*range(1, 6))
    oozie.troubles[job(1)] = RuntimeError("nobody thought of this")

    completing.go_on(600)

    assert [number for number in range(1, 6) if completing.is_live(number)] == [1]


def want_copies(completing: Completing, status: str) -> None:
    """Ask for the logs of job 1, which is in this state."""
    completing.cluster.oozie.has(details(job(1), status, action(job(1), "work", APP_1)))
    with completing.store.begin() as connection:
        kept = jobs.record(connection, [seen(job(1), status)])
        track_tasks.track(
            connection, "guest", "guest", list(kept.values()), NOW, policy=CopyPolicy.ALL
        )
        credentials.keep(connection, "guest", completing.key_ring.encrypt("guest", "pw"), NOW)
        jobsets.claim(connection, "worker", ["track"], 3600, 10)
    [task] = completing.tasks()
    with completing.store.begin() as connection:
        known = completing.cluster.oozie.known[job(1)]
        found = tuple(applications_of(job(1), known.actions))
        outcome.record_details(connection, task, known, found, NOW)
        outcome.next_step(connection, task, NOW)
    completing.load()


def test_wanted_logs_of_a_job_that_succeeded_are_saved_before_its_task_ends(completing):
    want_copies(completing, "SUCCEEDED")

    completing.go_on(10)
    assert completing.copied(1) == [APP_1]
    assert completing.is_live(1)

    completing.save_all(1)
    completing.go_on(10)
    assert not completing.is_live(1)


def test_wanted_logs_of_a_job_that_runs_are_saved_and_it_is_watched_on(completing):
    want_copies(completing, "RUNNING")

    assert completing.copied(1) == [APP_1]
    assert completing.task(1).state == TaskState.WATCHING


def test_a_stopped_task_ends_when_what_had_begun_is_saved(completing, oozie):
    completing.track(1)
    completing.completion.advance()
    with completing.store.begin() as connection:
        [copy] = completing.copies(1)
        copies.change(connection, copy, status=CopyStatus.RUNNING)
    with completing.store.begin() as connection:
        assert track_tasks.stop(connection, "guest", job(1), NOW)
    completing.load()
    asked = len(oozie.asked)

    completing.go_on(10)
    assert completing.is_live(1)

    completing.save_all(1)
    completing.go_on(10)
    assert not completing.is_live(1)
    assert completing.task(1).reason == track_tasks.STOPPED.text
    assert len(oozie.asked) == asked
    assert completing.kept() is None
