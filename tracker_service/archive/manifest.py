"""Write beside the saved logs of a job what was saved, from where, and how complete."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from tracker_service.domain.applications import short
from tracker_service.domain.causes import Cause
from tracker_service.domain.copies import Completeness, Contents, Copy, log_directory
from tracker_service.domain.jobs import JobStatus
from tracker_service.sources.webhdfs import WebHdfs

MANIFEST = "manifest.json"
_VERSION = 1


def write_manifest(
    hdfs: WebHdfs, status: JobStatus, finished: Sequence[Copy], cause: Cause | None, now: datetime
) -> None:
    """Write the manifest of a run of a job beside its logs, in place of one that is there.

    Args:
        status: of the job.
        finished: the copies of its logs, at least one; all have ended.
        cause: why it failed; None if it did not, or nobody knows.
    """
    nowhere = log_directory(finished[0].owner, finished[0].job_id)
    directory = next((copy.directory for copy in finished if copy.saved_at), nowhere)
    part = f"{directory}/.{MANIFEST}.part"
    hdfs.make_directory(directory)
    told = manifest(status, finished, cause, now)
    hdfs.write(part, json.dumps(told, indent=2).encode() + b"\n")
    hdfs.rename(part, f"{directory}/{MANIFEST}")


def manifest(
    status: JobStatus, finished: Sequence[Copy], cause: Cause | None, now: datetime
) -> dict[str, Any]:
    """Return the manifest as JSON is made of it."""
    first = finished[0]
    return {
        "version": _VERSION,
        "job": first.job_id,
        "run": first.run,
        "status": status,
        "job-user": first.job_user,
        "saved-for": first.owner,
        "written-at": _time(now),
        "completeness": overall(finished),
        "cause": _dashed(asdict(cause)) if cause else None,
        "applications": [_application(copy) for copy in finished],
    }


def _dashed(told: dict[str, Any]) -> dict[str, Any]:
    """Return a cause, or a quote in it, as the manifest spells names."""
    return {
        name.replace("_", "-"): [_dashed(quote) for quote in value] if name == "evidence" else value
        for name, value in told.items()
    }


def overall(finished: Iterable[Copy]) -> Completeness:
    """Return how complete the logs of a job are as a whole."""
    each = {copy.completeness for copy in finished}
    if each == {Completeness.COMPLETE}:
        return Completeness.COMPLETE
    return Completeness.LOST if each == {Completeness.LOST} else Completeness.PARTIAL


def _application(copy: Copy) -> dict[str, Any]:
    contents = copy.contents
    return {
        "application": short(copy.application),
        "completeness": copy.completeness,
        "reason": "; ".join(contents.gaps) if contents and contents.gaps else copy.reason,
        "file": copy.file_name if copy.saved_at else None,
        "bytes": copy.bytes if copy.saved_at else None,
        "sha256": copy.sha256 if copy.saved_at else None,
        "containers": contents.containers if contents else None,
        "logs": contents.logs if contents else None,
        "redacted": _redacted(contents),
        "sources": contents.sources if contents else (),
        "strategy": copy.strategy,
        "strategy-reason": copy.strategy_reason,
        "attempts": copy.attempt,
        "log-at": _time(copy.log_at),
        "decided-at": _time(copy.created_at),
        "started-at": _time(copy.started_at),
        "saved-at": _time(copy.saved_at),
    }


def _redacted(contents: Contents | None) -> Mapping[str, int] | Literal[False]:
    """Return how many secrets were hidden; a workflow copies logs as they are."""
    return False if contents is None or contents.redacted is None else contents.redacted


def _time(instant: datetime | None) -> str | None:
    return instant.isoformat(timespec="milliseconds") if instant else None
