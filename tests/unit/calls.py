"""Call the API in tests, and read the results in the store."""

from __future__ import annotations

from flask.testing import FlaskClient
from sqlalchemy import text

from tests.unit.fakes import APP_1, APP_2, APP_3, NOW, job
from tracker_service.domain.copies import CopyStatus
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import TaskState, TrackTask
from tracker_service.store import copies, tracked_jobs
from tracker_service.store.database import Store

TRACK = "/api/task/track/"
GUEST, SAM = ("guest", "guest-password"), ("sam", "sam-password")
ADMIN = ("admin", "admin-password")


def post(client: FlaskClient, body: str | bytes, kind: str = "text/plain", **more):
    more = {"auth": GUEST, "buffered": True} | more
    return client.post(TRACK, data=body, content_type=kind, **more)


def get(client: FlaskClient, path: str, auth=GUEST, **more):
    return client.get(path, auth=auth, buffered=True, **more)


def posted_states(answer) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {each["id"]: each["status"] for each in answer.json}


def assert_problem(answer, status: int) -> str:
    """Check what all refusals have in common, and return what they say."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.json["status_code"] == answer.json["status"] == status
    assert answer.json["message"] == answer.json["detail"]
    return answer.json["message"]


def tracked(store: Store, owner: str = "guest") -> set[str]:
    with store.read() as connection:
        return {
            each.job.id
            for each in tracked_jobs.listed(
                connection, tracked_jobs.Listing(owner=owner, since=NOW)
            )
        }


def save_copies(store: Store, *ends: CopyStatus) -> None:
    """End the copies of the only task's applications in this state."""
    with store.begin() as connection:
        row = connection.execute(text("SELECT * FROM tasks JOIN jobs ON jobs.id = job_id")).one()
        task = TrackTask(
            id=1,
            owner=row.owner,
            lease=Lease(jobset_id=1, epoch=0),
            state=TaskState.WATCHING,
            job_key=1,
            job_id=row.external_id,
            run=0,
            status=JobStatus.KILLED,
            began_at=NOW,
            observed_at=NOW,
        )
        copies.decide(connection, task, [APP_1, APP_2, APP_3][: len(ends)], NOW)
        for copy, status in zip(copies.of_tasks(connection, [1])[1], ends, strict=True):
            saved_at = NOW if status == CopyStatus.SUCCEEDED else None
            ended = {"status": status, "job": job(70), "bytes": 4, "reason": "because"}
            copies.change(connection, copy, saved_at=saved_at, **ended)


def end_the_task(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(text("UPDATE tasks SET state = 'ended', jobset_id = NULL, ended_at = 0"))
