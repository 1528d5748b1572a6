"""Writes jobs and their actions in the JSON in which Oozie describes them."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import formatdate
from typing import TypeAlias
from xml.sax.saxutils import escape

from tracker_service.sandbox.courses import ScriptedAction
from tracker_service.sandbox.jobs import (
    NAME_NODE,
    RESOURCE_MANAGER,
    SandboxApplication,
    SandboxJob,
    Status,
    Step,
)
from tracker_service.sandbox.workflows import write_configuration

Bean: TypeAlias = dict[str, object]

_CONSOLE = "http://localhost:11000/oozie?job={}"


def job_bean(job: SandboxJob, now: float, gateway: str | None) -> Bean:
    """Describe a job: in full with its actions, or as in a list where *gateway* is None."""
    status = job.status(now)
    ended = job.has_ended(now)
    changed = job.ends_at if ended else job.started_at or job.created_at
    full = gateway is not None
    return {
        "appName": job.definition.name,
        "externalId": job.external_id,
        "conf": write_configuration(job.configuration) if full else None,
        "run": job.run,
        "acl": None,
        "appPath": job.configuration["oozie.wf.application.path"] if full else None,
        "parentId": job.parent_id,
        "lastModTime": date(changed),
        "consoleUrl": _CONSOLE.format(job.job_id),
        "createdTime": date(job.created_at),
        "startTime": date(job.started_at),
        "toString": f"Workflow id[{job.job_id}] status[{status}]",
        "id": job.job_id,
        "endTime": date(job.ends_at if ended else None),
        "user": job.user,
        "actions": [] if gateway is None else list(action_beans(job, now, gateway)),
        "status": status,
        "group": None,
    }


def action_beans(job: SandboxJob, now: float, gateway: str) -> Iterator[Bean]:
    """Describe each node that the job has come to."""
    if job.started_at is None:
        return
    first, last = job.scenario.actions[0], job.scenario.actions[-1]
    yield _control(job, ":start:", ":START:", job.started_at, transition=first.name)
    for step in job.steps(now):
        if step.action.type.startswith(":"):
            yield _control(
                job, step.action.name, step.action.type, step.starts_at, step.action.ok_to
            )
        else:
            yield _step(step, now, gateway)
    if job.status(now) is Status.SUCCEEDED:
        yield _control(job, last.ok_to, ":END:", job.ends_at)
    failure = job.failure(now)
    if failure and failure.action.error and job.status(now) is Status.KILLED:
        yield _control(job, failure.action.error_to, ":KILL:", job.ends_at) | {
            "errorMessage": failure.action.error.message or "",
            "errorCode": "E0729",
            "conf": "${wf:errorMessage(wf:lastErrorNode())}",
        }


def retry_beans(job: SandboxJob, name: str, now: float, gateway: str) -> list[Bean]:
    """Describe the tries of an action before the present one."""
    return [
        {
            "consoleUrl": _proxy(gateway, step.launched(number, now)[:1]),
            "startTime": date(step.try_starts_at(number)),
            "endTime": date(step.try_starts_at(number + 1)),
            "attempt": str(number + 1),
        }
        for step in job.steps(now)
        if step.action.name == name
        for number in range(step.retries(now))
    ]


def _step(step: Step, now: float, gateway: str) -> Bean:
    retries = step.retries(now)
    launched = step.launched(retries, now)
    child = step.job.children.get(step.action.name)
    status, external_status, transition = _statuses(step, launched, child, now)
    error = step.error(now)
    bean = _bean(step.job, step.action.name, step.action.type, status)
    return bean | {
        "userRetryMax": len(step.action.tries) - 1,
        "trackerUri": "local" if child else RESOURCE_MANAGER if launched else None,
        "errorMessage": error.message if error else None,
        "userRetryCount": retries,
        "externalChildIDs": _child_ids(step, launched, now),
        "externalId": child.job_id if child else _id_of(launched[:1]),
        "errorCode": error.code if error else None,
        "conf": _conf(step.action, step.job.user),
        "transition": transition,
        "consoleUrl": _CONSOLE.format(child.job_id) if child else _proxy(gateway, launched[:1]),
        "startTime": date(step.starts_at),
        "endTime": date(step.ends_at if step.has_ended(now) else None),
        "externalStatus": external_status,
    }


def _statuses(
    step: Step, launched: list[SandboxApplication], child: SandboxJob | None, now: float
) -> tuple[str, str | None, str | None]:
    """Return the action's status, that of what it started, and the node after it."""
    has_begun = bool(launched or child)
    if step.is_killed(now):
        return "KILLED", "KILLED", None
    if not step.has_ended(now):
        return ("RUNNING", "RUNNING", None) if has_begun else ("PREP", None, None)
    if step.action.error is None:
        return "OK", "SUCCEEDED", step.action.ok_to
    if not has_begun:
        return "FAILED", None, None
    return "ERROR", child.status(now) if child else "FAILED/KILLED", step.action.error_to


def _child_ids(step: Step, launched: list[SandboxApplication], now: float) -> str | None:
    """Return the jobs that the launcher has started, which Oozie learns of at its end."""
    if not step.has_ended(now) or step.is_killed(now):
        return None
    ids = [f"job_{application.number}" for application in launched if application.run.is_child]
    return ",".join(ids) or None


def _id_of(launched: list[SandboxApplication]) -> str | None:
    return next((application.application_id for application in launched), None)


def _proxy(gateway: str, launched: list[SandboxApplication]) -> str | None:
    return f"{gateway}/yarn/proxy/{launched[0].application_id}" if launched else None


def _control(
    job: SandboxJob, name: str, kind: str, when: float, transition: str | None = None
) -> Bean:
    return _bean(job, name, kind, "OK") | {
        "trackerUri": "-",
        "externalId": "-",
        "conf": "",
        "transition": transition,
        "consoleUrl": "-",
        "startTime": date(when),
        "endTime": date(when),
        "externalStatus": "OK",
    }


def _bean(job: SandboxJob, name: str, kind: str, status: str) -> Bean:
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


def _conf(action: ScriptedAction, user: str) -> str:
    """Return the action's XML with its variables replaced."""
    where = [
        f"<resource-manager>{RESOURCE_MANAGER}</resource-manager>",
        f"<name-node>{NAME_NODE}</name-node>",
    ]
    executable = escape(action.executable)
    schema, lines = "workflow:1.0", [*where, "<configuration />"]
    match action.type:
        case "shell":
            arguments = [f"<argument>{escape(value)}</argument>" for value in action.arguments]
            script = [f"<exec>{executable}</exec>", *arguments, f"<file>{executable}</file>"]
            schema, lines = "shell-action:1.0", [*where, *script, "<configuration />"]
        case "java":
            lines = [*where, f"<main-class>{executable}</main-class>", "<configuration />"]
        case "sub-workflow" if action.child:
            path = f"<app-path>{NAME_NODE}/user/{user}/{action.child.name}</app-path>"
            lines = [path, "<propagate-configuration />", "<configuration />"]
    inner = "".join(f"  {line}\r\n" for line in lines)
    return f'<{action.type} xmlns="uri:oozie:{schema}">\r\n{inner}</{action.type}>'


def date(seconds: float | None) -> str | None:
    """Return a time as Oozie writes it."""
    return None if seconds is None else formatdate(seconds, usegmt=True)
