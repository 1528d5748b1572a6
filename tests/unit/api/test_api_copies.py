"""What is told of each copy, and of the safety of a job's logs."""

from __future__ import annotations

from sqlalchemy import text

from tests.unit.calls import end_the_task, get, post, save_copies
from tests.unit.fakes import APP_1, APP_2, NOW, action, details, job
from tracker_service.domain.copies import CopyStatus, Strategy
from tracker_service.store import copies

SHA = "ab" * 32
GAP = "node-2 has no log"


def describe(store, **values: object) -> None:
    """Change what is kept of the only copy."""
    with store.begin() as connection:
        [copy] = copies.of_tasks(connection, [1])[1]
        copies.change(connection, copy, **values)


def test_a_saved_copy_is_told_with_what_is_in_it(client, oozie, store):
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED)
    contents = {"containers": 2, "logs": 5, "sources": [], "gaps": [GAP]}
    describe(store, strategy=Strategy.DIRECT, strategy_reason="small", sha256=SHA, attempt=3)
    describe(store, contents=contents)

    told = get(client, f"/api/job/{job(1)}/logs/status").json["jobs"][APP_1[12:]]

    assert (
        told
        | {
            "run": 0,
            "strategy": "direct",
            "strategy-reason": "small",
            "completeness": "PARTIAL",
            "gaps": [GAP],
            "sha256": SHA,
            "containers": 2,
            "attempts": 3,
            "saved-at": "2026-11-22T05:00:00.000+00:00",
            "deleted-at": None,
        }
        == told
    )
    assert get(client, f"/api/job/{job(1)}").json["log-jobs"].keys() == {APP_1[12:]}


def test_of_a_log_that_is_being_replaced_the_saved_one_is_told(client, oozie, store):
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED)
    describe(store, status=CopyStatus.RUNNING, sha256=SHA, part=None)

    told = get(client, f"/api/job/{job(1)}/logs/status").json["jobs"][APP_1[12:]]

    assert (told["sha256"], told["completeness"]) == (SHA, "COMPLETE")


def logs(client) -> list[str | None]:
    """Return what the job and the list say of the logs."""
    [listed] = get(client, "/api/jobs/tracking").json
    return [get(client, f"/api/job/{job(1)}").json["logs"], listed["logs"]]


def test_the_logs_of_a_job_that_fails_are_at_risk_until_they_are_saved(client, oozie, store):
    post(client, job(1))
    assert logs(client) == [None, None]

    oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_1), ended_at=NOW))
    get(client, f"/api/job/{job(1)}?refresh=true")
    assert logs(client) == ["at risk until 2026-11-29T05:00:00.000+00:00"] * 2

    save_copies(store, CopyStatus.SUCCEEDED)
    assert logs(client) == ["at risk until 2026-11-29T05:00:00.000+00:00"] * 2  # others may be

    with store.begin() as connection:
        connection.execute(
            text("UPDATE tasks SET state = 'ended', jobset_id = NULL, ended_at = :now"),
            {"now": NOW.timestamp() * 1000},
        )
    assert logs(client) == ["saved"] * 2


def test_no_log_is_wanted_of_a_job_that_succeeds_or_is_not_tracked(client, oozie, store):
    assert get(client, f"/api/job/{job(3)}").json["logs"] is None
    post(client, job(2))
    assert get(client, f"/api/job/{job(2)}").json["logs"] is None


def test_logs_of_which_one_is_not_saved_are_partly_lost(client, oozie, store):
    oozie.has(details(job(1), "KILLED", action(job(1), "work", APP_1, child_ids=APP_2)))
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED, CopyStatus.FAILED)
    end_the_task(store)

    assert get(client, f"/api/job/{job(1)}").json["logs"] == "partly lost"
