"""Lists jobs as Oozie does: those that a filter names, newest first, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from werkzeug.wrappers import Response

from tracker_service.sandbox.answers import json_answer
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.coordinator_beans import coordinator_bean
from tracker_service.sandbox.coordinators import Coordinator
from tracker_service.sandbox.jobs import Job, Status
from tracker_service.sandbox.oozie_beans import Bean, job_bean
from tracker_service.sandbox.oozie_calls import Call, OozieError

_KEYS = {"wf": "workflows", "coord": "coordinatorjobs", "bundle": "bundlejobs"}
_FILTERS = ("id", "name", "user", "status", "group")
_COORDINATOR_STATUSES = (
    *("PREMATER", "PREP", "RUNNING", "SUSPENDED", "SUCCEEDED", "KILLED", "FAILED", "PAUSED"),
    *("PREPPAUSED", "PREPSUSPENDED", "RUNNINGWITHERROR", "SUSPENDEDWITHERROR", "PAUSEDWITHERROR"),
    *("DONEWITHERROR", "IGNORED"),
)
#: What Oozie says to a kind of job that it does not have.
_UNKNOWN_KIND = (
    "java.lang.NullPointerException: Cannot invoke "
    '"org.json.simple.JSONStreamAware.writeJSONString(java.io.Writer)" because "json" is null'
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A job of any kind with what filters ask about it."""

    sequence: int
    values: dict[str, str]
    bean: Callable[[], Bean]


def jobs_answer(cluster: Cluster, call: Call) -> Response:
    """Answer a request for a list of jobs."""
    kind = call.text("jobtype", "wf")
    if kind not in _KEYS:
        return json_answer({"errorMessage": _UNKNOWN_KIND, "httpStatusCode": 500}, 500)
    wanted = _read_filter(
        call.text("filter"), tuple(Status) if kind == "wf" else _COORDINATOR_STATUSES
    )
    offset, length = call.number("offset", 1), call.number("len", 50)
    with cluster.settled() as now:
        found = _matching(_entries(cluster, kind, wanted.get("id"), now), wanted)
        beans = [entry.bean() for entry in found[offset - 1 : offset - 1 + length]]
    return json_answer({"total": len(found), "offset": offset, "len": length, _KEYS[kind]: beans})


def _entries(cluster: Cluster, kind: str, ids: set[str] | None, now: float) -> list[_Entry]:
    """Return the jobs with these ids, or all; a ready-made one begins when it is asked about."""
    if kind == "wf":
        jobs = cluster.jobs.values() if ids is None else map(cluster.look_up, ids)
        return [_workflow(job, now) for job in jobs if job]
    if kind == "coord":
        every = cluster.coordinators
        found = every.values() if ids is None else map(cluster.look_up_coordinator, ids)
        return [_coordinator(coordinator, now) for coordinator in found if coordinator]
    return []


def _workflow(job: Job, now: float) -> _Entry:
    values = {"name": job.definition.name, "user": job.user, "status": str(job.status(now))}
    return _Entry(job.sequence, values, lambda: job_bean(job, now, None))


def _coordinator(job: Coordinator, now: float) -> _Entry:
    values = {"name": job.schedule.name, "user": job.user, "status": job.status(now)}
    return _Entry(job.sequence, values, lambda: coordinator_bean(job, now))


def _matching(entries: Iterable[_Entry], wanted: dict[str, set[str]]) -> list[_Entry]:
    tests = [(name, values) for name, values in wanted.items() if name not in ("id", "group")]
    return sorted(
        (e for e in entries if all(e.values[name] in values for name, values in tests)),
        key=lambda entry: entry.sequence,
        reverse=True,
    )


def _read_filter(text: str, statuses: tuple[str, ...]) -> dict[str, set[str]]:
    """Return the wanted values by name; several values of one name are alternatives."""
    filters: dict[str, set[str]] = {}
    for element in filter(None, text.split(";")):
        match element.split("="):
            case [name, value] if value:
                _check(text, name.lower(), value, statuses)
                filters.setdefault(name.lower(), set()).add(value)
            case _:
                raise _invalid(text, "elements must be semicolon-separated name=value pairs")
    return filters


def _check(text: str, name: str, value: str, statuses: tuple[str, ...]) -> None:
    if name not in _FILTERS:
        raise _invalid(text, f"invalid name [{name}]")
    if name == "status" and value not in statuses:
        raise _invalid(text, f"invalid status [{value}]")


def _invalid(text: str, problem: str) -> OozieError:
    return OozieError("E0420", f"Invalid jobs filter [{text}], {problem}")
