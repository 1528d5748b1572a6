"""Speaks the resource manager's REST API, as it is seen through the gateway."""

from __future__ import annotations

import re

from werkzeug.wrappers import Request, Response

from tracker_service.sandbox.answers import error_page, json_answer
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.jobs import Job, Status

_STATES = ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING", "FINISHED", "FAILED", "KILLED")
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
            case ["v1", "cluster", "apps", application_id, "state"]:
                return self._application(application_id, only_state=True)
            case ["v1", "cluster"] | ["v1", "cluster", "info"]:
                return json_answer({"clusterInfo": {"state": "STARTED", "hadoopVersion": "3.3.6"}})
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
            job = self._cluster.applications.get(application_id)
            if job is None or not job.has_launched(now):
                return _refusal(
                    "NotFoundException",
                    f"java.lang.Exception: app with id: {application_id} not found",
                )
            if only_state:
                return json_answer({"state": _states(job, now)[0]})
            return json_answer({"app": described(job, now)})

    def _applications(self, request: Request) -> Response:
        states = _words(request, "states") | _words(request, "state")
        if unknown := states - set(_STATES):
            return _refusal(
                "BadRequestException",
                f"java.lang.Exception: Invalid application-state {min(unknown)} specified. "
                f"It should be one of [{', '.join(_STATES)}]",
            )
        with self._cluster.settled() as now:
            launched = (job for job in self._cluster.jobs.values() if job.has_launched(now))
            every = (described(job, now) for job in launched)
            wanted = [app for app in every if _matches(app, request, states)]
        return json_answer({"apps": {"app": wanted} if wanted else {}})


def described(job: Job, now: float) -> dict[str, object]:
    """Describe a job's launcher as the resource manager does."""
    state, final_status = _states(job, now)
    ended = job.has_ended(now)
    finished = job.ends_at if ended else now
    seconds = finished - job.launches_at
    return {
        "id": job.application_id,
        "user": job.user,
        "name": f"oozie:launcher:T=shell:W={job.definition.name}"
        f":A={job.definition.action}:ID={job.job_id}",
        "queue": "default",
        "state": state,
        "finalStatus": final_status,
        "progress": 100.0 if ended else 0.0,
        "trackingUI": "History" if ended else "ApplicationMaster",
        "trackingUrl": "",
        "diagnostics": _diagnostics(job, now),
        "clusterId": int(job.application_id.split("_")[1]),
        "applicationType": "Oozie Launcher",
        "applicationTags": "",
        "priority": 0,
        "startedTime": _ms(job.launches_at),
        "launchTime": _ms(job.launches_at) + 80,
        "finishedTime": _ms(finished) if ended else 0,
        "elapsedTime": _ms(seconds),
        "amContainerLogs": "",
        "amHostHttpAddress": "",
        "amRPCAddress": ":0",
        "masterNodeId": "localhost:8041",
        **_resources(seconds, ended=ended),
        "logAggregationStatus": job.log_aggregation_status(now),
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


def _states(job: Job, now: float) -> tuple[str, str]:
    """Return YARN's state and final status."""
    status = job.status(now)
    if status is Status.RUNNING:
        return "RUNNING", "UNDEFINED"
    if job.killed_at is not None:
        return "KILLED", "KILLED"
    return "FINISHED", "SUCCEEDED" if status is Status.SUCCEEDED else "FAILED"


def _diagnostics(job: Job, now: float) -> str:
    if job.killed_at is not None:
        return f"Application {job.application_id} was killed by user {job.user} at 127.0.0.1"
    failure = job.failure(now)
    return failure.message if failure else ""


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
