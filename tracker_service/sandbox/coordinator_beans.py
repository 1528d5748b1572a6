"""Writes coordinators and their actions in the JSON in which Oozie describes them."""

from __future__ import annotations

from tracker_service.sandbox.coordinators import Coordinator
from tracker_service.sandbox.jobs import SandboxJob
from tracker_service.sandbox.oozie_beans import Bean, date
from tracker_service.sandbox.workflows import write_configuration


def coordinator_bean(coordinator: Coordinator, now: float) -> Bean:
    """Describe a coordinator as in a list."""
    first, *_, end = (day.timestamp() for day in coordinator.days())
    status = coordinator.status(now)
    return {
        "mat_throttling": 0,
        "executionPolicy": "FIFO",
        "conf": None,
        "acl": None,
        "frequency": "1",
        "total": 0,
        "pauseTime": None,
        "consoleUrl": None,
        "lastAction": date(end if coordinator.workflows else None),
        "coordJobName": coordinator.schedule.name,
        "createdTime": date(coordinator.created_at),
        "startTime": date(first),
        "coordExternalId": None,
        "timeUnit": "DAY",
        "group": None,
        "coordJobId": coordinator.job_id,
        "coordJobPath": coordinator.configuration["oozie.coord.application.path"],
        "bundleId": coordinator.bundle_id,
        "timeZone": "UTC",
        "concurrency": 3,
        "timeOut": 120,
        "nextMaterializedTime": date(end if coordinator.workflows else first),
        "toString": f"Coordinator application id[{coordinator.job_id}] status[{status}]",
        "endTime": date(end),
        "user": coordinator.user,
        "actions": [],
        "status": status,
    }


def full_bean(coordinator: Coordinator, now: float, offset: int, length: int) -> Bean:
    """Describe a coordinator with some of its actions."""
    page = range(coordinator.actions)[offset - 1 : offset - 1 + length]
    return coordinator_bean(coordinator, now) | {
        "mat_throttling": 12,
        "conf": write_configuration(coordinator.configuration),
        "total": coordinator.actions,
        "actions": [action_bean(coordinator, number + 1, now) for number in page],
    }


def action_bean(coordinator: Coordinator, number: int, now: float) -> Bean:
    """Describe one action: the workflow of one day, or that it waits for its input."""
    job = coordinator.workflows[number - 1] if coordinator.workflows else None
    day = list(coordinator.days())[number - 1]
    action_id, status = f"{coordinator.job_id}@{number}", _status(coordinator, job, now)
    changed_at = job.ends_at if job and job.has_ended(now) else coordinator.started_at
    return {
        "nominalTime": date(day.timestamp()),
        "trackerUri": None,
        "lastModifiedTime": date(changed_at),
        "coordJobId": coordinator.job_id,
        "missingDependencies": "",
        "createdConf": None,
        "errorMessage": None,
        "externalId": job.job_id if job else None,
        "errorCode": None,
        "type": None,
        "pushMissingDependencies": "",
        "consoleUrl": None,
        "runConf": None,
        "actionNumber": number,
        "createdTime": date(coordinator.started_at),
        "toString": f"CoordinatorAction name[{action_id}] status[{status}]",
        "id": action_id,
        "externalStatus": None,
        "status": status,
    }


def _status(coordinator: Coordinator, job: SandboxJob | None, now: float) -> str:
    if job:
        return job.status(now)
    return "WAITING" if coordinator.killed_at is None else "KILLED"
