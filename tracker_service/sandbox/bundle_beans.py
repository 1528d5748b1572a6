"""Writes bundles in the JSON in which Oozie describes them."""

from __future__ import annotations

from tracker_service.sandbox.bundles import Bundle
from tracker_service.sandbox.coordinator_beans import coordinator_bean
from tracker_service.sandbox.oozie_beans import Bean, date
from tracker_service.sandbox.workflows import write_configuration


def bundle_bean(bundle: Bundle, now: float) -> Bean:
    """Describe a bundle as in a list; it has no times but that of its creation."""
    status = bundle.status(now)
    return {
        "bundleJobName": bundle.collection.name,
        "bundleJobPath": bundle.configuration["oozie.bundle.application.path"],
        "kickoffTime": None,
        "bundleCoordJobs": [],
        "conf": write_configuration(bundle.configuration),
        "acl": None,
        "bundleJobId": bundle.job_id,
        "bundleExternalId": None,
        "timeOut": 0,
        "pauseTime": None,
        "consoleUrl": None,
        "createdTime": date(bundle.created_at),
        "startTime": None,
        "toString": f"Bundle id[{bundle.job_id}] status[{status}]",
        "endTime": None,
        "user": bundle.user,
        "status": status,
        "timeUnit": "NONE",
        "group": None,
    }


def full_bundle_bean(bundle: Bundle, now: float) -> Bean:
    """Describe a bundle with its coordinators, each without its actions."""
    return bundle_bean(bundle, now) | {
        "bundleCoordJobs": [
            coordinator_bean(coordinator, now)
            | {"mat_throttling": 12, "conf": write_configuration(coordinator.configuration)}
            for coordinator in bundle.coordinators
        ]
    }
