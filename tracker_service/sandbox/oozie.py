"""Speaks Oozie's web services, as they are seen through the gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from tracker_service.sandbox.answers import backend_away, empty_answer, json_answer
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.courses import ActionError
from tracker_service.sandbox.inodes import HdfsError, NotFoundError
from tracker_service.sandbox.jobs import Job, Status
from tracker_service.sandbox.oozie_beans import job_bean
from tracker_service.sandbox.workflows import (
    MalformedXmlError,
    UnresolvedVariableError,
    hdfs_path,
    read_configuration,
    read_workflow,
    submitted_configuration,
)

_BEANS = {"wf": "workflows", "coord": "coordinatorjobs", "bundle": "bundlejobs"}
_FILTERS = ("id", "name", "user", "status", "group")
_ROUTES = Map(
    [
        Rule("/versions", endpoint="versions"),
        Rule("/<any(v1, v2):version>/admin/status", endpoint="admin_status"),
        Rule("/<any(v0, v1, v2):version>/jobs", endpoint="jobs", methods=["GET"]),
        Rule("/<any(v0, v1, v2):version>/jobs", endpoint="submit", methods=["POST"]),
        Rule("/<any(v0, v1, v2):version>/job/<job_id>", endpoint="job", methods=["GET"]),
        Rule("/<any(v0, v1, v2):version>/job/<job_id>", endpoint="change", methods=["PUT"]),
    ]
)


class OozieError(Exception):
    """Oozie refuses a request with one of its codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Oozie:
    """The service ``oozie`` of the gateway.

    Follows the Oozie Web Services API of Oozie 5.2.1.
    """

    def __init__(self, cluster: Cluster, topology_path: str) -> None:
        self._cluster = cluster
        self._topology_path = topology_path
        self._endpoints: dict[str, Callable[..., Response]] = {
            "versions": lambda _call: json_answer([0, 1, 2]),
            "admin_status": lambda _call: json_answer({"systemMode": "NORMAL"}),
            "jobs": self._jobs,
            "submit": self._submit,
            "job": self._job,
            "change": self._change,
        }

    def answer(self, request: Request, path: str, user: str) -> Response:
        """Answer a request for ``oozie`` + *path*."""
        try:
            endpoint, found = _ROUTES.bind("").match(path, request.method)
        except HTTPException:
            return json_answer({"errorMessage": "Not Found", "httpStatusCode": 404}, 404)
        arguments = {name: value for name, value in found.items() if name != "version"}
        try:
            return self._endpoints[endpoint](_Call(request=request, user=user), **arguments)
        except OozieError as refused:
            return _refusal(refused, with_body=request.method != "PUT")
        except MalformedXmlError:
            return backend_away(request.path)

    def _job(self, call: _Call, job_id: str) -> Response:
        show = call.request.args.get("show") or "info"
        with self._cluster.settled() as now:
            job = self._existing(job_id)
            if show == "status":
                return json_answer({"status": job.status(now)})
            if show != "info":
                raise OozieError("E0303", f"Invalid parameter value, [show] = [{show}]")
            gateway = call.request.host_url.rstrip("/") + self._topology_path
            return json_answer(job_bean(job, now, gateway))

    def _change(self, call: _Call, job_id: str) -> Response:
        action = call.request.args.get("action")
        if not action:
            raise OozieError("E0305", "Missing parameter [action]")
        if action not in ("kill", "start"):
            raise OozieError("E0303", f"Invalid parameter value, [action] = [{action}]")
        with self._cluster.settled():
            job = self._cluster.jobs.get(job_id)
            if job is None:
                raise OozieError("E0605", f"Action does not exist [{job_id}]")
            if action == "kill":
                self._cluster.kill(job_id)
            else:
                self._cluster.begin(job)
        return empty_answer()

    def _existing(self, job_id: str) -> Job:
        job = self._cluster.look_up(job_id)
        if job is None:
            raise OozieError("E0604", f"Job does not exist [{job_id}]")
        return job

    def _jobs(self, call: _Call) -> Response:
        parameters = call.request.args
        kind = parameters.get("jobtype") or "wf"
        if kind not in _BEANS:
            return json_answer({"errorMessage": f"unknown {kind}", "httpStatusCode": 500}, 500)
        filters = _read_filter(parameters.get("filter", ""))
        offset, length = call.number("offset", 1), call.number("len", 50)
        with self._cluster.settled() as now:
            found = self._matching(filters, now) if kind == "wf" else []
            page = found[offset - 1 : offset - 1 + length]
            beans = [job_bean(job, now, None) for job in page]
        return json_answer(
            {"total": len(found), "offset": offset, "len": length, _BEANS[kind]: beans}
        )

    def _matching(self, filters: dict[str, set[str]], now: float) -> list[Job]:
        if "id" in filters:
            looked_up = (self._cluster.look_up(job_id) for job_id in filters["id"])
            candidates = [job for job in looked_up if job is not None]
        else:
            candidates = list(self._cluster.jobs.values())
        candidates.sort(key=lambda job: job.sequence, reverse=True)
        tests: dict[str, Callable[[Job], str]] = {
            "name": lambda job: job.definition.name,
            "user": lambda job: job.user,
            "status": lambda job: job.status(now),
            "group": lambda _job: "",
        }
        wanted = [(tests[name], values) for name, values in filters.items() if name != "id"]
        return [job for job in candidates if all(of(job) in values for of, values in wanted)]

    def _submit(self, call: _Call) -> Response:
        if call.request.mimetype != "application/xml":
            raise OozieError("E0300", f"Invalid content-type [{call.request.mimetype}]")
        sent = read_configuration(call.request.get_data())
        properties = submitted_configuration(sent, call.user)
        action = call.request.args.get("action")
        with self._cluster.settled():
            job = self._new_job(properties, call.user, dry_run=action == "dryrun")
            if job is not None and action == "start":
                self._cluster.begin(job)
        return json_answer({"id": job.job_id if job else "OK"}, 201)

    def _new_job(self, properties: dict[str, str], user: str, *, dry_run: bool) -> Job | None:
        data = self._workflow_xml(properties["oozie.wf.application.path"], user)
        problem = None
        try:
            definition = read_workflow(data, properties)
        except MalformedXmlError as exc:
            raise OozieError("E0701", f"XML schema error, {exc}") from exc
        except UnresolvedVariableError as exc:
            definition, problem = None, ActionError(code="EL_ERROR", message=str(exc))
        if dry_run:
            return None
        return self._cluster.submit(definition, properties, user, problem=problem)

    def _workflow_xml(self, address: str, user: str) -> bytes:
        path = hdfs_path(address)
        prefix = address.removesuffix(path)
        if not path.endswith(".xml"):
            path = f"{path.rstrip('/')}/workflow.xml"
        try:
            return self._cluster.hdfs.read(path, user)
        except NotFoundError as exc:
            raise OozieError(
                "E0307",
                f"Runtime error [XML file [{prefix}{path}] does not exist and app definition "
                "cannot be created because of missing config value [oozie.jobs.api.generated.xml]]",
            ) from exc
        except HdfsError as exc:
            raise OozieError("E0501", f"Could not perform authorization operation, {exc}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request with the caller's name."""

    request: Request
    user: str

    def number(self, name: str, default: int) -> int:
        """Return a whole number; the default for what is missing or below one."""
        value = self.request.args.get(name) or str(default)
        try:
            number = int(value)
        except ValueError as exc:
            raise OozieError("E1603", f'For input string: "{value}"') from exc
        return number if number > 0 else default


def _read_filter(text: str) -> dict[str, set[str]]:
    """Return the wanted values by name; several values of one name are alternatives."""
    filters: dict[str, set[str]] = {}
    for element in filter(None, text.split(";")):
        name, equals, value = element.partition("=")
        problem = f"Invalid jobs filter [{text}], "
        if not equals:
            raise OozieError(
                "E0420", f"{problem}elements must be semicolon-separated name=value pairs"
            )
        if name not in _FILTERS:
            raise OozieError("E0420", f"{problem}invalid name [{name}]")
        if name == "status":
            value = value.upper()
            if value not in list(Status):
                raise OozieError("E0420", f"{problem}invalid status [{value}]")
        filters.setdefault(name, set()).add(value)
    return filters


def _refusal(error: OozieError, *, with_body: bool) -> Response:
    message = str(error)
    headers = {"oozie-error-code": error.code, "oozie-error-message": message.replace("\n", " ")}
    if not with_body:
        return empty_answer(400, headers)
    body: dict[str, Any] = {"errorMessage": message, "httpStatusCode": 400}
    return json_answer(body, 400, headers)
