"""Write the manifest beside the saved logs of a job: sources, checksums, completeness, cause."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from tracker_service.domain.applications import short
from tracker_service.domain.causes import Cause
from tracker_service.domain.copies import Completeness, Contents, Copy
from tracker_service.domain.jobs import JobStatus
from tracker_service.sources.webhdfs import WebHdfs

MANIFEST = "manifest.json"
_VERSION = 1


def write_manifest(
    hdfs: WebHdfs, status: JobStatus, finished: Sequence[Copy], cause: Cause | None, now: datetime
) -> None:
    """Write the manifest of a run of a job beside its logs; it replaces an earlier one.

    Args:
        status: of the job.
        finished: the copies of its logs, at least one; all have ended.
        cause: why the job failed; None if it did not fail, or the cause is unknown.
    """
    saved = (copy.directory for copy in finished if copy.saved_at)
    directory = next(saved, finished[0].job_directory)
    part = f"{directory}/.{MANIFEST}.part"
    hdfs.make_directory(directory)
    content = json.dumps(manifest(status, finished, cause, now), indent=2)
    hdfs.write(part, content.encode() + b"\n")
    hdfs.rename(part, f"{directory}/{MANIFEST}")


def manifest(
    status: JobStatus, finished: Sequence[Copy], cause: Cause | None, now: datetime
) -> dict[str, Any]:
    """Return the content of the manifest."""
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


def _dashed(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a cause, or a quote in it, with dashes in the names of its fields."""
    return {
        name.replace("_", "-"): [_dashed(quote) for quote in value] if name == "evidence" else value
        for name, value in fields.items()
    }


def overall(finished: Iterable[Copy]) -> Completeness:
    """Return how complete the logs of a job are taken together."""
    values = {copy.completeness for copy in finished}
    if values == {Completeness.COMPLETE}:
        return Completeness.COMPLETE
    return Completeness.LOST if values == {Completeness.LOST} else Completeness.PARTIAL


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
    """Return how many secrets were hidden; False for a workflow's copy, which hides none."""
    return False if contents is None or contents.redacted is None else contents.redacted


def _time(instant: datetime | None) -> str | None:
    return instant.isoformat(timespec="milliseconds") if instant else None
