"""Lists jobs as Oozie does: those that a filter names, newest first, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from werkzeug.wrappers import Response

from tracker_service.sandbox.answers import json_answer
from tracker_service.sandbox.bundle_beans import bundle_bean
from tracker_service.sandbox.bundles import Bundle
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.coordinator_beans import coordinator_bean
from tracker_service.sandbox.coordinators import Coordinator
from tracker_service.sandbox.jobs import SandboxJob, Status
from tracker_service.sandbox.oozie_beans import Bean, job_bean
from tracker_service.sandbox.oozie_calls import Call, OozieError

_KEYS = {"wf": "workflows", "coord": "coordinatorjobs", "bundle": "bundlejobs"}
_TIMES = ("startcreatedtime", "endcreatedtime")
_FILTERS = ("id", "name", "user", "status", "group", "text", "sortby", *_TIMES)
_UNITS = {"d": 86400, "h": 3600, "m": 60}
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

    job: SandboxJob | Coordinator | Bundle
    name: str
    status: str
    changed_at: float
    bean: Callable[[], Bean]

    def fits(self, name: str, values: set[str], now: float) -> bool:
        """Tell whether one filter lets the job through; several values are alternatives."""
        job = self.job
        match name:
            case "startcreatedtime":
                return job.created_at >= max(_time(value, now) for value in values)
            case "endcreatedtime":
                return job.created_at <= min(_time(value, now) for value in values)
            case "text":
                return any(v == job.job_id or v in self.name or v in job.user for v in values)
            case "name" | "user" | "status":
                return {"name": self.name, "user": job.user, "status": self.status}[name] in values
        return True


def jobs_answer(cluster: Cluster, call: Call) -> Response:
    """Answer a request for a list of jobs."""
    if external_id := call.text("external-id"):
        return _with_external_id(cluster, external_id)
    asked = call.text("jobtype", "wf")
    kind = next((kind for kind in _KEYS if kind in asked), None)  # `coordinator` will do too
    if kind is None:
        return json_answer({"errorMessage": _UNKNOWN_KIND, "httpStatusCode": 500}, 500)
    wanted = _read_filter(
        call.text("filter"), tuple(Status) if kind == "wf" else _COORDINATOR_STATUSES
    )
    offset, length = call.number("offset", 1), call.number("len", 50)
    with cluster.settled() as now:
        found = _matching(_entries(cluster, kind, wanted.get("id"), now), wanted, now)
        beans = [entry.bean() for entry in found[offset - 1 : offset - 1 + length]]
    return json_answer({"total": len(found), "offset": offset, "len": length, _KEYS[kind]: beans})


def _with_external_id(cluster: Cluster, external_id: str) -> Response:
    """Answer with the id of the workflow that was submitted with an id of its client's."""
    with cluster.settled():
        found = (
            job.job_id
            for job in cluster.jobs.values()
            if job.configuration.get("oozie.wf.external.id") == external_id
        )
        return json_answer({"id": next(found, None)})


def _entries(cluster: Cluster, kind: str, ids: set[str] | None, now: float) -> list[_Entry]:
    """Return the jobs with these ids, or all; a ready-made one begins when it is asked about."""
    if kind == "wf":
        jobs = cluster.jobs.values() if ids is None else map(cluster.look_up, ids)
        return [_workflow(job, now) for job in jobs if job]
    if kind == "coord":
        every = cluster.coordinators
        found = every.values() if ids is None else map(cluster.look_up_coordinator, ids)
        return [_coordinator(coordinator, now) for coordinator in found if coordinator]
    bundles = cluster.bundles.values() if ids is None else map(cluster.look_up_bundle, ids)
    return [_bundle(bundle, now) for bundle in bundles if bundle]


def _workflow(job: SandboxJob, now: float) -> _Entry:
    changed_at = job.ends_at if job.has_ended(now) else job.started_at or job.created_at
    bean = partial(job_bean, job, now, None)
    return _Entry(job, job.definition.name, job.status(now), changed_at, bean)


def _coordinator(job: Coordinator, now: float) -> _Entry:
    changed_at = job.ends_at if job.has_ended(now) else job.started_at or job.created_at
    bean = partial(coordinator_bean, job, now)
    return _Entry(job, job.schedule.name, job.status(now), changed_at, bean)


def _bundle(job: Bundle, now: float) -> _Entry:
    changed_at = job.ends_at if job.has_ended(now) else job.started_at or job.created_at
    bean = partial(bundle_bean, job, now)
    return _Entry(job, job.collection.name, job.status(now), changed_at, bean)


def _matching(entries: Iterable[_Entry], wanted: dict[str, set[str]], now: float) -> list[_Entry]:
    by_change = "lastmodifiedtime" in {value.lower() for value in wanted.get("sortby", ())}
    return sorted(
        (e for e in entries if all(e.fits(name, values, now) for name, values in wanted.items())),
        key=lambda entry: (entry.changed_at if by_change else 0.0, entry.job.sequence),
        reverse=True,
    )


def _time(text: str, now: float) -> float:
    """Return the instant that a filter names: so long before now, or a date and a minute in UTC."""
    try:
        if text[-1] in _UNITS:
            return now + int(text[:-1]) * _UNITS[text[-1]]
        return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC).timestamp()
    except ValueError as exc:
        problem = f'E0302: Invalid parameter [For input string: "{text[:-1]}"]'
        raise OozieError("E0603", f"SQL error in operation, {problem}") from exc


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
