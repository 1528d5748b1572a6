"""Speaks Oozie's web services, as they are seen through the gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from tracker_service.sandbox.answers import backend_away, empty_answer, json_answer
from tracker_service.sandbox.bundle_beans import full_bundle_bean
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.coordinator_beans import action_bean, full_bean
from tracker_service.sandbox.courses import ActionError
from tracker_service.sandbox.inodes import HdfsError, NotFoundError
from tracker_service.sandbox.jobs import SandboxJob
from tracker_service.sandbox.oozie_beans import action_beans, job_bean, retry_beans
from tracker_service.sandbox.oozie_calls import Call, OozieError, refusal
from tracker_service.sandbox.oozie_lists import jobs_answer
from tracker_service.sandbox.workflows import (
    MalformedXmlError,
    UnresolvedNameError,
    UnresolvedVariableError,
    hdfs_path,
    read_configuration,
    read_workflow,
    submitted_configuration,
)

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

_RERUN_NODES = ("oozie.wf.rerun.skip.nodes", "oozie.wf.rerun.failnodes")


class SandboxOozie:
    """The service ``oozie`` of the gateway.

    Follows the Oozie Web Services API of Oozie 5.2.1.
    """

    def __init__(self, cluster: Cluster, topology_path: str) -> None:
        self._cluster = cluster
        self._topology_path = topology_path
        self._endpoints: dict[str, Callable[..., Response]] = {
            "versions": lambda _call: json_answer([0, 1, 2]),
            "admin_status": lambda _call, version: json_answer({"systemMode": "NORMAL"}),
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
        try:
            return self._endpoints[endpoint](Call(request=request, user=user), **found)
        except OozieError as refused:
            return refusal(refused, with_body=request.method != "PUT")
        except MalformedXmlError:
            return backend_away(request.path)

    def _job(self, call: Call, version: str, job_id: str) -> Response:
        gateway = call.request.host_url.rstrip("/") + self._topology_path
        show = call.text("show", "info")
        with self._cluster.settled() as now:
            if coordinator := self._cluster.look_up_coordinator(job_id):
                # Without a length, version 2 leaves the actions out.
                length = call.number("len", 1000 if version == "v1" else 0)
                bean = full_bean(coordinator, now, call.number("offset", 1), length)
                return _shown(show, {"info": bean, "status": {"status": coordinator.status(now)}})
            if bundle := self._cluster.look_up_bundle(job_id):
                bean = full_bundle_bean(bundle, now)
                return _shown(show, {"info": bean, "status": {"status": bean["status"]}})
            if "@" in job_id:
                return self._action(job_id, show, now, gateway)
            job = self._cluster.look_up(job_id)
            if job is None and show == "status":
                raise OozieError("E0605", f"Action does not exist [{job_id}]")
            if job is None:
                raise OozieError("E0604", f"Job does not exist [{job_id}]")
            bean = job_bean(job, now, gateway)
            return _shown(show, {"info": bean, "status": {"status": job.status(now)}})

    def _action(self, action_id: str, show: str, now: float, gateway: str) -> Response:
        """Answer about an action of a workflow or of a coordinator."""
        job_id, _, name = action_id.partition("@")
        if coordinator := self._cluster.look_up_coordinator(job_id):
            if name.isdigit() and 0 < int(name) <= coordinator.actions:
                bean = action_bean(coordinator, int(name), now)
                return _shown(show, {"info": bean, "status": {"status": bean["status"]}})
        elif job := self._cluster.look_up(job_id):
            beans = {bean["name"]: bean for bean in action_beans(job, now, gateway)}
            if name in beans:
                retries = retry_beans(job, name, now, gateway)
                return _shown(show, {"info": beans[name], "retries": {"retries": retries}})
        raise OozieError("E0605", f"Action does not exist [{action_id}]")

    def _change(self, call: Call, version: str, job_id: str) -> Response:
        action = call.text("action")
        if not action:
            raise OozieError("E0305", "Missing parameter [action]")
        if action not in ("kill", "start", "rerun"):
            raise OozieError("E0303", f"Invalid parameter value, [action] = [{action}]")
        with self._cluster.settled() as now:
            job = self._cluster.jobs.get(job_id)
            scheduled = {*self._cluster.coordinators, *self._cluster.bundles}
            if job is None and (job_id not in scheduled or action == "rerun"):
                raise OozieError("E0605", f"Action does not exist [{job_id}]")
            if action == "kill":
                self._cluster.kill(job_id)
            elif job and action == "rerun":
                self._rerun(call, job, now)
            elif job:
                self._cluster.begin(job)
        return empty_answer()

    def _rerun(self, call: Call, job: SandboxJob, now: float) -> None:
        """Run a workflow again, from its beginning: which nodes are to be left out is not read."""
        sent = read_configuration(call.request.get_data())
        if sent.keys() >= set(_RERUN_NODES):
            nodes = " OR ".join(_RERUN_NODES)
            raise OozieError("E0404", f"Only one of the properties are allowed [{nodes}]")
        if not job.has_ended(now):
            raise OozieError("E0805", f"Workflow job not completed, status [{job.status(now)}]")
        self._cluster.rerun(job.job_id)

    def _jobs(self, call: Call, version: str) -> Response:
        return jobs_answer(self._cluster, call)

    def _submit(self, call: Call, version: str) -> Response:
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

    def _new_job(
        self, properties: dict[str, str], user: str, *, dry_run: bool
    ) -> SandboxJob | None:
        data = self._workflow_xml(properties["oozie.wf.application.path"], user)
        problem = None
        try:
            definition = read_workflow(data, properties)
        except MalformedXmlError as exc:
            raise OozieError("E0701", f"XML schema error, {exc}") from exc
        except UnresolvedNameError as exc:
            raise OozieError("E0803", f"IO error, {exc}") from exc
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


def _shown(show: str, shown: Mapping[str, object]) -> Response:
    """Answer with the view that was asked for."""
    if show not in shown:
        raise OozieError("E0303", f"Invalid parameter value, [show] = [{show}]")
    return json_answer(shown[show])
