"""Writes a job in the JSON in which Oozie describes it."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import formatdate
from typing import TypeAlias
from xml.sax.saxutils import escape

from tracker_service.sandbox.jobs import NAME_NODE, RESOURCE_MANAGER, Job, Status
from tracker_service.sandbox.workflows import write_configuration

Bean: TypeAlias = dict[str, object]


def job_bean(job: Job, now: float, gateway: str | None) -> Bean:
    """Describe a job: in full with its actions, or as in a list where *gateway* is None."""
    status = job.status(now)
    ended = job.has_ended(now)
    changed = job.ends_at if ended else job.started_at or job.created_at
    full = gateway is not None
    return {
        "appName": job.definition.name,
        "externalId": None,
        "conf": write_configuration(job.configuration) if full else None,
        "run": 0,
        "acl": None,
        "appPath": job.configuration["oozie.wf.application.path"] if full else None,
        "parentId": None,
        "lastModTime": _date(changed),
        "consoleUrl": f"http://localhost:11000/oozie?job={job.job_id}",
        "createdTime": _date(job.created_at),
        "startTime": _date(job.started_at),
        "toString": f"Workflow id[{job.job_id}] status[{status}]",
        "id": job.job_id,
        "endTime": _date(job.ends_at if ended else None),
        "user": job.user,
        "actions": [] if gateway is None else list(_actions(job, now, gateway)),
        "status": status,
        "group": None,
    }


def _actions(job: Job, now: float, gateway: str) -> Iterator[Bean]:
    if job.started_at is None:
        return
    start = _date(job.started_at)
    yield _control(job, ":start:", ":START:", start, transition=job.definition.action)
    yield _shell_action(job, now, gateway)
    if job.has_ended(now) and job.killed_at is None:
        end = _date(job.ends_at)
        if job.error is None:
            yield _control(job, job.definition.ok_to, ":END:", end)
        elif job.status(now) is Status.KILLED:
            yield _control(job, job.definition.error_to, ":KILL:", end) | {
                "errorMessage": job.error.message,
                "errorCode": "E0729",
                "conf": "${wf:errorMessage(wf:lastErrorNode())}",
            }


def _shell_action(job: Job, now: float, gateway: str) -> Bean:
    launched = job.has_launched(now)
    status, external_status, transition = _action_status(job, now)
    failure = job.failure(now)
    bean = _action(job, job.definition.action, "shell", status)
    return bean | {
        "trackerUri": RESOURCE_MANAGER if launched else None,
        "errorMessage": failure.message if failure else None,
        "externalId": job.application_id if launched else None,
        "errorCode": failure.code if failure else None,
        "conf": _shell_conf(job),
        "transition": transition,
        "consoleUrl": f"{gateway}/yarn/proxy/{job.application_id}" if launched else None,
        "startTime": _date(job.started_at),
        "endTime": _date(job.ends_at if job.has_ended(now) else None),
        "externalStatus": external_status,
    }


def _action_status(job: Job, now: float) -> tuple[str, str | None, str | None]:
    """Return the action's status, that of its application, and the node after it."""
    if job.killed_at is not None:
        return "KILLED", "KILLED", None
    if not job.has_ended(now):
        return ("RUNNING", "RUNNING", None) if job.has_launched(now) else ("PREP", None, None)
    if job.error is None:
        return "OK", "SUCCEEDED", job.definition.ok_to
    if not job.has_launched(now):
        return "FAILED", None, None
    return "ERROR", "FAILED/KILLED", job.definition.error_to


def _control(
    job: Job, name: str, kind: str, when: str | None, transition: str | None = None
) -> Bean:
    return _action(job, name, kind, "OK") | {
        "trackerUri": "-",
        "externalId": "-",
        "conf": "",
        "transition": transition,
        "consoleUrl": "-",
        "startTime": when,
        "endTime": when,
        "externalStatus": "OK",
    }


def _action(job: Job, name: str, kind: str, status: str) -> Bean:
    """Return an action's keys in Oozie's order; what is None is filled in by the caller."""
    return {
        "cred": None,
        "userRetryMax": 0,
        "trackerUri": None,
        "data": None,
        "errorMessage": None,
        "userRetryCount": 0,
        "externalChildIDs": None,
        "externalId": None,
        "errorCode": None,
        "conf": None,
        "type": kind,
        "transition": None,
        "retries": 0,
        "consoleUrl": None,
        "stats": None,
        "userRetryInterval": 10,
        "name": name,
        "startTime": None,
        "toString": f"Action name[{name}] status[{status}]",
        "id": f"{job.job_id}@{name}",
        "endTime": None,
        "externalStatus": None,
        "status": status,
    }


def _shell_conf(job: Job) -> str:
    executable = escape(job.definition.executable)
    arguments = [f"<argument>{escape(value)}</argument>" for value in job.definition.arguments]
    lines = [
        f"<resource-manager>{RESOURCE_MANAGER}</resource-manager>",
        f"<name-node>{NAME_NODE}</name-node>",
        f"<exec>{executable}</exec>",
        *arguments,
        f"<file>{executable}</file>",
        "<configuration />",
    ]
    inner = "".join(f"  {line}\r\n" for line in lines)
    return f'<shell xmlns="uri:oozie:shell-action:1.0">\r\n{inner}</shell>'


def _date(seconds: float | None) -> str | None:
    return None if seconds is None else formatdate(seconds, usegmt=True)
