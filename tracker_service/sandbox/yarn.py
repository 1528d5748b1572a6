"""Speaks the REST APIs of YARN and of the job history, as they are seen through the gateway."""

from __future__ import annotations

import re

from werkzeug.wrappers import Request, Response

from tracker_service.sandbox.answers import error_page, json_answer
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.jobs import STARTED_MS, SandboxApplication
from tracker_service.sandbox.node_pages import HTTP_ADDRESS, NODE, container_of, log_url

_STATES = ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING", "FINISHED", "FAILED", "KILLED")
_HADOOP = {
    "hadoopVersion": "3.3.6",
    "hadoopBuildVersion": "3.3.6 from 1be78238728da9266a4f88195058f08fd012bf9c by ubuntu "
    "source checksum 5652179ad55f76cb287d9c633bb53bbd",
    "hadoopVersionBuiltOn": "2023-06-18T08:22Z",
}
_APPLICATION_ID = re.compile(r"application_\d+_\d+")


class ResourceManager:
    """The service ``resourcemanager`` of the gateway.

    Follows the ResourceManager REST APIs of Hadoop 3.3.6.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def answer(self, request: Request, path: str, user: str) -> Response:
        """Answer a request for ``resourcemanager`` + *path*; the manager does not ask by whom."""
        parts = path.strip("/").split("/")
        match parts:
            case ["v1", "cluster", "apps"]:
                return self._applications(request)
            case ["v1", "cluster", "apps", application_id]:
                return self._application(application_id)
            case ["v1", "cluster", "apps", application_id, "appattempts", *below]:
                return self._attempts(request, application_id, below)
            case ["v1", "cluster", "apps", application_id, "state"]:
                return self._application(application_id, only_state=True)
            case ["v1", "cluster"] | ["v1", "cluster", "info"]:
                return json_answer({"clusterInfo": _cluster_info()})
        return error_page(404, request.path, "Not Found")

    def _application(self, application_id: str, *, only_state: bool = False) -> Response:
        if not application_id.startswith("application_"):
            return _refusal(
                "BadRequestException",
                f"java.lang.IllegalArgumentException: Invalid ApplicationId prefix: "
                f"{application_id}. The valid ApplicationId should start with prefix application",
            )
        if not _APPLICATION_ID.fullmatch(application_id):
            return _refusal(
                "BadRequestException",
                f"java.lang.IllegalArgumentException: Invalid ApplicationId: {application_id}",
            )
        with self._cluster.settled() as now:
            application = self._cluster.applications.get(application_id)
            if application is None or not application.has_launched(now):
                return _refusal(
                    "NotFoundException",
                    f"java.lang.Exception: app with id: {application_id} not found",
                )
            if only_state:
                return json_answer({"state": application.states(now)[0]})
            return json_answer({"app": described(application, now)})

    def _attempts(self, request: Request, application_id: str, below: list[str]) -> Response:
        """Answer for the one attempt of an application, and for its one container."""
        with self._cluster.settled() as now:
            application = self._cluster.applications.get(application_id)
            if application is None or not application.has_launched(now):
                return self._application(application_id)
            attempt = _attempt(application, now)
            if not below:
                return json_answer({"appAttempts": {"appAttempt": [attempt]}})
            if below != [attempt["appAttemptId"], "containers"]:
                return error_page(404, request.path, "Not Found")
            ended = application.has_ended(now)
            return json_answer({} if ended else {"container": _container(application, now)})

    def _applications(self, request: Request) -> Response:
        states = _words(request, "states") | _words(request, "state")
        if unknown := states - set(_STATES):
            return _refusal(
                "BadRequestException",
                f"java.lang.Exception: Invalid application-state {min(unknown)} specified. "
                f"It should be one of [{', '.join(_STATES)}]",
            )
        with self._cluster.settled() as now:
            every = self._cluster.applications.values()
            launched = (described(app, now) for app in every if app.has_launched(now))
            wanted = [app for app in launched if _matches(app, request, states)]
        return json_answer({"apps": {"app": wanted} if wanted else {}})


class JobHistory:
    """The service ``jobhistory`` of the gateway: only what says that it is there.

    Follows the MapReduce History Server REST APIs of Hadoop 3.3.6.
    """

    def answer(self, request: Request, path: str, user: str) -> Response:
        """Answer a request for ``jobhistory`` + *path*."""
        if path.strip("/") in ("ws/v1/history", "ws/v1/history/info"):
            return json_answer({"historyInfo": {"startedOn": STARTED_MS, **_HADOOP}})
        return error_page(404, request.path, "Not Found")


def _attempt(application: SandboxApplication, now: float) -> dict[str, object]:
    return {
        "id": 1,
        "startTime": _ms(application.launches_at),
        "finishedTime": _ms(application.ends_at) if application.has_ended(now) else 0,
        "containerId": container_of(application),
        "nodeHttpAddress": "",
        "nodeId": "",
        "logsLink": log_url(application),
        "blacklistedNodes": "",
        "nodesBlacklistedBySystem": "",
        "appAttemptId": f"appattempt_{application.number}_000001",
        "exportPorts": "null",
    }


def _container(application: SandboxApplication, now: float) -> dict[str, object]:
    return {
        "containerId": container_of(application),
        "allocatedMB": "512",
        "allocatedVCores": "1",
        "assignedNodeId": NODE,
        "priority": "0",
        "startedTime": str(_ms(application.launches_at)),
        "finishedTime": "0",
        "elapsedTime": str(_ms(now - application.launches_at)),
        "logUrl": log_url(application),
        "containerExitStatus": "0",
        "containerState": "RUNNING",
        "nodeHttpAddress": f"http://{HTTP_ADDRESS}",
        "nodeId": NODE,
    }


def _cluster_info() -> dict[str, object]:
    version = {key.replace("hadoop", "resourceManager"): value for key, value in _HADOOP.items()}
    return {
        "id": STARTED_MS,
        "startedOn": STARTED_MS,
        "state": "STARTED",
        "haState": "ACTIVE",
        "rmStateStoreName": "org.apache.hadoop.yarn.server.resourcemanager.recovery."
        "NullRMStateStore",
        **version,
        **_HADOOP,
        "haZooKeeperConnectionState": "Could not find leader elector. Verify both HA and automatic "
        "failover are enabled.",
    }


def described(application: SandboxApplication, now: float) -> dict[str, object]:
    """Describe an application as the resource manager does."""
    state, final_status = application.states(now)
    ended = application.has_ended(now)
    finished = application.ends_at if ended else now
    seconds = finished - application.launches_at
    return {
        "id": application.application_id,
        "user": application.job.user,
        "name": _name(application),
        "queue": "default",
        "state": state,
        "finalStatus": final_status,
        "progress": 100.0 if ended else 0.0,
        "trackingUI": "History" if ended else "ApplicationMaster",
        "trackingUrl": "",
        "diagnostics": _diagnostics(application, state),
        "clusterId": int(application.number.partition("_")[0]),
        "applicationType": "MAPREDUCE" if application.run.is_child else "Oozie Launcher",
        "applicationTags": application.tag,
        "priority": 0,
        "startedTime": _ms(application.launches_at),
        "launchTime": _ms(application.launches_at) + 80,
        "finishedTime": _ms(finished) if ended else 0,
        "elapsedTime": _ms(seconds),
        "amContainerLogs": "",
        "amHostHttpAddress": "",
        "amRPCAddress": ":0",
        "masterNodeId": "localhost:8041",
        **_resources(seconds, ended=ended),
        "logAggregationStatus": application.log_aggregation_status(now),
        "unmanagedApplication": False,
        "amNodeLabelExpression": "",
        "timeouts": {
            "timeout": [
                {"type": "LIFETIME", "expiryTime": "UNLIMITED", "remainingTimeInSeconds": -1}
            ]
        },
    }


def _resources(seconds: float, *, ended: bool) -> dict[str, object]:
    return {
        "allocatedMB": -1 if ended else 512,
        "allocatedVCores": -1 if ended else 1,
        "reservedMB": -1 if ended else 0,
        "reservedVCores": -1 if ended else 0,
        "runningContainers": -1 if ended else 1,
        "memorySeconds": int(512 * seconds),
        "vcoreSeconds": int(seconds),
        "queueUsagePercentage": 0.0 if ended else 6.25,
        "clusterUsagePercentage": 0.0 if ended else 6.25,
        "resourceSecondsMap": {"entry": {"key": "vcores", "value": str(int(seconds))}},
        "preemptedResourceMB": 0,
        "preemptedResourceVCores": 0,
        "numNonAMContainerPreempted": 0,
        "numAMContainerPreempted": 0,
        "preemptedMemorySeconds": 0,
        "preemptedVcoreSeconds": 0,
        "preemptedResourceSecondsMap": {},
    }


def _name(application: SandboxApplication) -> str:
    action, job = application.step.action, application.job
    role = "action" if application.run.is_child else "launcher"
    return f"oozie:{role}:T={action.type}:W={job.definition.name}:A={action.name}:ID={job.job_id}"


def _diagnostics(application: SandboxApplication, state: str) -> str:
    if state == "KILLED":
        killer = application.job.user
        return f"Application {application.application_id} was killed by user {killer} at 127.0.0.1"
    if state == "FINISHED":
        return application.run.failure.replace("{number}", application.number)
    return ""


def _matches(app: dict[str, object], request: Request, states: set[str]) -> bool:
    tags = _words(request, "applicationtags")
    user = request.args.get("user")
    return (
        (not states or app["state"] in states)
        and (not tags or bool(tags & set(str(app["applicationTags"]).split(","))))
        and (not user or app["user"] == user)
    )


def _words(request: Request, name: str) -> set[str]:
    values = (
        v
        for key, value in request.args.items(multi=True)
        if key.lower() == name
        for v in value.split(",")
    )
    return {value for value in values if value}


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _refusal(exception: str, message: str) -> Response:
    described_error = {
        "exception": exception,
        "message": message,
        "javaClassName": f"org.apache.hadoop.yarn.webapp.{exception}",
    }
    status = 404 if exception == "NotFoundException" else 400
    return json_answer({"RemoteException": described_error}, status)
