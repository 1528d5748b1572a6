from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Row

from tests.unit.fakes import (
    APP_1,
    APP_2,
    NOW,
    AtOnce,
    FakeCluster,
    Later,
    action,
    details,
    job,
    seen,
)
from tests.unit.held import Following
from tracker_service.engine.slots import Slots
from tracker_service.errors import (
    AccessDenied,
    GatewayUnavailable,
    RequestRefused,
    StoreUnavailable,
)
from tracker_service.store import jobs, track_tasks, tracked_jobs
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.schedule import Schedule

FAILED = details(job(1), "KILLED", action(job(1), "work", APP_1))


@pytest.fixture
def oozie(fake_cluster: FakeCluster):
    return fake_cluster.oozie


def test_what_a_bulk_answer_says_is_recorded_at_once(following, oozie):
    following.track(1, 2)
    oozie.has(details(job(1), "RUNNING"), details(job(2), "SUSPENDED"))
    oozie.troubles = {job(1): GatewayUnavailable(), job(2): GatewayUnavailable()}

    following.look()

    assert oozie.bulks == [[job(1), job(2)]]
    assert (following.state(1), following.state(2)) == ("RUNNING", "SUSPENDED")


def test_nothing_is_asked_about_a_job_that_is_not_due(following, oozie):
    following.track(1)
    oozie.has(details(job(1)))
    following.look()

    following.poller.sweep()

    assert len(oozie.bulks) == 1


def test_a_job_that_succeeded_ends_its_task(following, oozie):
    following.track(1)
    oozie.has(details(job(1), "SUCCEEDED", action(job(1), "work", APP_1)))

    following.look()

    assert following.task(1).state == "ended"
    assert following.copied(1) == []


def test_a_job_that_failed_has_its_logs_copied(following, oozie):
    following.track(1)
    oozie.has(FAILED)

    following.look()

    assert following.task(1).state == "copying"
    assert following.copied(1) == [APP_1]


def test_the_log_of_every_attempt_of_an_action_is_copied(following, oozie):
    following.track(1)
    oozie.has(details(job(1), "RUNNING", action(job(1), "work", APP_1)))
    following.look()
    oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_2)))

    following.look()

    assert following.copied(1) == [APP_1, APP_2]


def test_a_job_whose_logs_are_saved_is_watched_no_longer(following, oozie):
    following.track(1)
    oozie.has(FAILED)
    following.look()
    oozie.bulks.clear()

    following.go_on(120)

    assert oozie.bulks == []


def test_with_the_last_task_the_credential_is_erased(following, oozie):
    following.track(1, 2)
    oozie.has(details(job(1), "SUCCEEDED"), details(job(2), "RUNNING"))

    following.look()
    assert following.kept()

    oozie.has(details(job(2), "SUCCEEDED"))
    following.look()
    assert following.kept() is None


def test_while_logs_are_copied_the_credential_stays(following, oozie):
    following.track(1)
    oozie.has(FAILED)

    following.look()

    assert following.kept()


def test_a_job_that_oozie_does_not_have_is_called_so_at_once_and_let_go_after_a_while(
    following, oozie
):
    following.track(1)

    following.look()
    assert following.state(1) == "NOT_FOUND"
    assert following.is_live(1)

    following.go_on(299)
    assert following.is_live(1)

    following.go_on(320)  # it is looked at later and later
    assert not following.is_live(1)
    assert job(1) in following.task(1).reason


def test_a_job_that_comes_back_lives_on(following, oozie):
    following.track(1)
    following.look()
    oozie.has(details(job(1), "RUNNING"))
    following.go_on(290)
    assert following.state(1) == "RUNNING"
    del oozie.known[job(1)]

    following.go_on(290)

    assert following.state(1) == "NOT_FOUND"
    assert following.is_live(1)


def test_a_job_that_came_back_without_details_lives_on_too(following, oozie):
    following.track(1)
    following.look()
    following.go_on(200)
    oozie.has(details(job(1), "RUNNING"))
    oozie.troubles[job(1)] = GatewayUnavailable()
    following.go_on(150)
    assert following.state(1) == "RUNNING"
    del oozie.known[job(1)]
    oozie.troubles.clear()

    following.go_on(290)

    assert following.is_live(1)


def test_a_failed_job_that_is_gone_before_its_details_were_seen_is_saved_all_the_same(
    following, oozie
):
    following.track(1)
    oozie.has(details(job(1), "RUNNING", action(job(1), "work", APP_1)))
    following.look()
    oozie.has(details(job(1), "KILLED"))
    oozie.troubles[job(1)] = GatewayUnavailable()
    following.go_on(10)
    del oozie.known[job(1)]
    oozie.troubles.clear()

    following.go_on(700)

    assert following.state(1) == "KILLED"
    assert following.task(1).state == "copying"
    assert following.copied(1) == [APP_1]


def test_a_job_that_is_only_missing_in_the_bulk_answer_is_not_lost(following, oozie):
    following.track(1)
    oozie.has(details(job(1), "RUNNING"))
    oozie.left_out = {job(1)}

    following.look()

    assert following.state(1) == "RUNNING"
    assert following.task(1).state == "watching"


def test_while_oozie_is_away_no_job_is_lost(following, oozie):
    following.track(1)
    oozie.is_down = True

    following.go_on(1000)

    assert following.state(1) == "UNKNOWN"
    assert following.task(1).state == "watching"


def test_a_lost_job_keeps_its_name_and_its_owner(following, oozie):
    following.track(1)
    oozie.has(details(job(1), "RUNNING", name="daily"))
    following.look()
    del oozie.known[job(1)]

    following.look()

    assert following.state(1) == "NOT_FOUND"
    assert (following.task(1).job.name, following.task(1).job.user) == ("daily", "guest")


@pytest.mark.parametrize("trouble", [GatewayUnavailable(), AccessDenied(), RequestRefused()])
def test_jobs_whose_details_cannot_be_had_do_not_block_others(following, oozie, trouble):
    following.track(*range(1, 51))
    oozie.has(*(details(job(n), "SUCCEEDED") for n in range(1, 51)))
    oozie.troubles = dict.fromkeys([job(1), job(2), job(3)], trouble)

    following.go_on(20)

    assert [n for n in range(1, 51) if following.is_live(n)] == [1, 2, 3]


def test_an_outage_is_noticed_by_a_few_requests(following, oozie):
    following.track(*range(1, 51))
    oozie.has(*(details(job(n), "SUCCEEDED") for n in range(1, 51)))
    oozie.is_down = oozie.answers_bulks = True

    following.look()

    assert len(oozie.asked) == 3 * 3  # 20 jobs are looked at together


def test_after_an_outage_of_the_details_all_jobs_end(following, oozie):
    following.track(*range(1, 21))
    oozie.has(*(details(job(n), "SUCCEEDED") for n in range(1, 21)))
    oozie.is_down = oozie.answers_bulks = True
    following.go_on(60)
    oozie.is_down = False

    following.go_on(700)

    assert [n for n in range(1, 21) if following.is_live(n)] == []


def test_trouble_of_one_user_does_not_stop_another(following, oozie):
    following.track(1)
    following.track(2, owner="sam", password="sam-password")
    oozie.has(FAILED, details(job(2), "SUCCEEDED"))
    oozie.troubles[job(1)] = RuntimeError("broken")

    following.look()

    assert following.task(2, "sam").state == "ended"


def test_after_its_lease_is_lost_a_worker_writes_nothing(following, oozie):
    following.track(1, 2, 3)
    oozie.has(FAILED, details(job(2), "SUCCEEDED"))
    following.lose_lease()

    following.poller.sweep()
    oozie.bulks.clear()
    following.go_on(600)

    assert [following.state(n) for n in (1, 2, 3)] == ["UNKNOWN"] * 3
    assert [following.task(n).state for n in (1, 2, 3)] == ["watching"] * 3
    assert oozie.bulks == []


@pytest.mark.parametrize("status", ["SUCCEEDED", "KILLED"])
def test_an_end_that_was_not_committed_is_decided_again(following, oozie, store, status):
    following.track(1)
    oozie.has(details(job(1), status, action(job(1), "work", APP_1)))
    oozie.troubles[job(1)] = GatewayUnavailable()
    following.go_on(1)
    oozie.troubles.clear()
    store.is_broken = True
    following.go_on(30)
    store.is_broken = False
    assert (following.state(1), following.task(1).state) == (status, "watching")

    following.go_on(120)

    assert following.task(1).state == {"SUCCEEDED": "ended", "KILLED": "copying"}[status]


@pytest.mark.parametrize("status", ["SUCCEEDED", "KILLED"])
def test_what_was_not_committed_is_tried_again(following, oozie, store, status):
    following.track(1)
    oozie.has(details(job(1), status, action(job(1), "work", APP_1)))
    store.is_broken = True
    following.poller.sweep()
    store.is_broken = False
    assert following.task(1).state == "watching"

    following.go_on(20)

    assert following.task(1).state == {"SUCCEEDED": "ended", "KILLED": "copying"}[status]


def test_a_sweep_is_noted_once_all_jobs_were_looked_at(following, oozie):
    following.track(1, 2)
    oozie.has(details(job(1)), details(job(2)))

    following.look()
    following.poller.note_polled()

    assert following.task(1).polled_at == NOW


def test_what_could_not_be_written_down_is_written_down_later(following, oozie):
    following.track(1)
    oozie.has(details(job(1)))
    following.look()
    following.store.is_broken = True
    with pytest.raises(StoreUnavailable):
        following.poller.note_polled()
    following.store.is_broken = False

    following.poller.note_polled()

    assert following.task(1).polled_at == NOW


def test_applications_of_running_jobs_become_known_in_the_background(following, oozie):
    following.track(1)
    oozie.has(details(job(1), "RUNNING"))
    following.look()
    oozie.has(details(job(1), "RUNNING", action(job(1), "work", APP_1)))

    following.go_on(300)

    with following.store.read() as connection:
        key = following.task(1).job.key
        assert jobs.applications_of(connection, [key])[key] == [APP_1]


def test_the_next_run_of_a_job_that_is_watched_is_watched(following, oozie):
    following.track(1)
    oozie.has(details(job(1), "RUNNING"))
    following.look()
    oozie.has(details(job(1), "RUNNING", run=1))

    following.look()

    assert following.task(1).state == "watching"
    assert following.task(1).job.run == 1


def test_a_task_whose_next_run_is_tracked_too_ends_for_good(following, oozie, store):
    following.track(1)
    oozie.has(details(job(1), "RUNNING"))
    following.look()
    with store.begin() as connection:  # run again and posted again
        kept = jobs.record(connection, [seen(job(1), "RUNNING", run=1)])
        track_tasks.track(connection, "guest", "guest", list(kept.values()), NOW)
    oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_1), run=1))

    following.look()

    with store.read() as connection:
        states = {
            each.job.run: each.state
            for each in tracked_jobs.listed(
                connection, tracked_jobs.Listing(owner="guest", since=NOW)
            )
        }
    assert states == {0: "ended", 1: "copying"}


def test_a_user_without_a_credential_is_told_so(following, oozie, store):
    following.track(1)
    with store.begin() as connection:
        connection.exec_driver_sql("DELETE FROM credentials")

    following.look()

    assert "post the job again" in following.task(1).reason
    assert oozie.bulks == []


def test_what_is_unexpected_at_one_job_stops_no_other(following, oozie):
    following.track(*range(1, 6))
    oozie.has(*(details(job(number), "SUCCEEDED") for number in range(1, 6)))
    oozie.troubles[job(1)] = RuntimeError("nobody thought of this")

    following.go_on(120)

    assert [number for number in range(1, 6) if following.is_live(number)] == [1]


def test_a_bulk_answer_that_always_fails_keeps_no_other_job_from_ending(following, oozie):
    following.track(*range(1, 151))  # two bulk requests
    oozie.has(*(details(job(number), "SUCCEEDED") for number in range(1, 151)))
    oozie.unlistable = {job(150)}

    following.go_on(600)

    listed_alone = [number for number in range(1, 151) if following.is_live(number)]
    assert 0 < len(listed_alone) <= 100
    assert 150 in listed_alone


def test_a_job_that_has_ended_goes_on_without_details_once_asking_was_in_vain(following, oozie):
    following.track(1, 2)
    oozie.has(details(job(1), "SUCCEEDED"), details(job(2), "KILLED"))
    oozie.troubles = dict.fromkeys((job(1), job(2)), AccessDenied("not for you"))

    following.go_on(7200)

    assert not following.is_live(1)
    assert following.task(2).state == "copying"


def rows_of_jobs(following) -> Sequence[Row[Any]]:
    with following.store.read() as connection:
        return connection.exec_driver_sql("SELECT * FROM jobs ORDER BY id").all()


def test_a_sweep_in_which_nothing_changes_writes_nothing_about_jobs(following, oozie, now):
    following.track(1, 2)
    for number in (1, 2):
        oozie.has(details(job(number), "RUNNING", action(job(number), "work", APP_1)))
    following.look()
    following.go_on(300)  # also the actions of each were asked for
    before = rows_of_jobs(following)

    now.advance(minutes=5)
    following.go_on(300)

    assert oozie.asked[-1] in (job(1), job(2))
    assert rows_of_jobs(following) == before


def test_jobs_that_ended_keep_no_other_waiting_for_their_details(
    store, identities, key_ring, fake_cluster, now, ticks, oozie
):
    later = Later()
    schedule = Schedule(5, 60, random.Random(7))
    poller = Poller(store, identities, schedule, (AtOnce(), later), now, Slots(8))
    following = Following(store, fake_cluster, key_ring, ticks, poller, schedule)
    following.track(*range(50))
    for number in range(50):
        oozie.has(details(job(number), "RUNNING"))
    following.look()
    later.run_all()

    for number in range(49):
        oozie.has(details(job(number), "KILLED"))
    following.go_on(6)
    assert (following.state(1), following.task(1).state) == ("KILLED", "watching")
    oozie.has(details(job(49), "SUSPENDED"))
    following.go_on(6)
    assert following.state(49) == "SUSPENDED"

    later.run_all()
    assert following.task(1).state == "copying"
