"""Tell whether YARN has collected the whole log of an application, so that it can be copied."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tracker_service.archive.copying.log_files import FoundLogFiles, LogFileFinder
from tracker_service.domain.copies import Copy
from tracker_service.domain.timing import OPERATION, Timing
from tracker_service.errors import AccessDenied, ApplicationNotFound, RequestRefused
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.sources.yarn import ApplicationReport, LogAggregation

_COLLECTING = (LogAggregation.RUNNING, LogAggregation.RUNNING_WITH_FAILURE)


@dataclass(frozen=True, slots=True)
class Ready:
    """The log can be copied now."""

    owner: str  #: the user who ran the application
    finished_at: datetime | None = None  #: when the application ended; None: YARN has forgotten
    gap: str | None = None  #: what is known to be missing
    may_be_nowhere: bool = False  #: YARN does not say that every node has uploaded its log
    diagnostics: str | None = None  #: YARN's message about the application


@dataclass(frozen=True, slots=True)
class NotReady:
    """The log cannot be copied now."""

    reason: str
    is_final: bool = False  #: the log can never be copied
    diagnostics: str | None = None  #: YARN's message about the application


FileFacts = frozenset[tuple[str, int, int]]  #: paths, lengths and times of change


class Aggregation:
    """Tells whether logs are complete; remembers files of applications that YARN has forgotten."""

    def __init__(
        self,
        finder: LogFileFinder,
        deadline_s: float,
        clock: Callable[[], datetime],
        timing: Timing = OPERATION,
        *,
        retention: timedelta,
    ) -> None:
        """Prepare to look.

        Args:
            deadline_s: after the end of an application; then its log is taken as it is, in seconds.
            retention: how long the cluster keeps a log, and an application that outlives its job
                is waited for.
        """
        self._retention = retention
        self._stable_for, self._missing_for = timing.files_stable, timing.files_missing
        self._finder, self._deadline = finder, timedelta(seconds=deadline_s)
        self._clock = clock
        self._seen: dict[str, tuple[FileFacts, datetime]] = {}  # last change, by copy

    def look(self, access: ClusterAccess, copy: Copy) -> Ready | NotReady:
        """Tell whether an application's log is complete.

        The resource manager is asked. If it has forgotten the application, the log is complete
        once the aggregated files no longer change. After the deadline the log is ready, however
        much of it is there.

        Raises:
            GatewayUnavailable, CredentialsRefused: nobody can say.
        """
        try:
            report = access.yarn.application(copy.application)
        except (ApplicationNotFound, AccessDenied, RequestRefused):
            return self._look_at_files(access.hdfs, copy)
        aggregation = report.log_aggregation
        if aggregation == LogAggregation.DISABLED:
            off = NotReady("log aggregation is off in this cluster", is_final=True)
            return replace(off, diagnostics=report.diagnostics)
        if not (report.has_ended or aggregation.has_ended):
            return self._look_at_running(access.hdfs, copy, report)
        if aggregation.has_ended or self._is_late(copy, report.finished_at):
            self._seen.pop(copy.id, None)
            is_certain = aggregation == LogAggregation.SUCCEEDED
            gap = None if is_certain else _gap(aggregation)
            ready = Ready(report.user, report.finished_at, gap, may_be_nowhere=not is_certain)
            return replace(ready, diagnostics=report.diagnostics)
        if report.has_ended and aggregation not in _COLLECTING:
            # It was killed before it had a container, or this release does not tell.
            found = replace(self._look_at_files(access.hdfs, copy), diagnostics=report.diagnostics)
            return replace(found, may_be_nowhere=True) if isinstance(found, Ready) else found
        return NotReady(f"waits until YARN has collected the log (now {aggregation})")

    def _look_at_running(
        self, hdfs: WebHdfs, copy: Copy, report: ApplicationReport
    ) -> Ready | NotReady:
        """Wait until an application ends; once its job has ended, no longer than logs are kept."""
        waits = f"waits until the application has ended (now {report.state})"
        if copy.job_ended_at is None:
            return NotReady(waits)
        until = max(copy.job_ended_at, copy.created_at) + self._retention
        if self._clock() < until:
            return NotReady(f"{waits}, until {until:%Y-%m-%d %H:%M} UTC at most")
        outlived = f"YARN says that the application still is {report.state}, long after its job"
        if self._finder.find(hdfs, copy.application, report.user).files:
            return Ready(report.user, gap=outlived, diagnostics=report.diagnostics)
        return NotReady(f"{outlived}; copy its log once it has ended", is_final=True)

    def _look_at_files(self, hdfs: WebHdfs, copy: Copy) -> Ready | NotReady:
        owner = copy.job_user or copy.owner
        found = self._finder.find(hdfs, copy.application, owner)
        files = frozenset(_facts(found))
        now = self._clock()
        before, since = self._seen.setdefault(copy.id, (files, now))
        if files != before:
            self._seen[copy.id] = files, now
        elif now - since >= (self._stable_for if files else self._missing_for):
            del self._seen[copy.id]
            return Ready(owner)
        if self._is_late(copy):
            del self._seen[copy.id]
            return Ready(owner, gap="its files still changed when the deadline was over")
        return NotReady("YARN does not tell how far the log is; waits until its files are stable")

    def _is_late(self, copy: Copy, finished_at: datetime | None = None) -> bool:
        """Tell whether the deadline is over; it counts from the end of the application."""
        begun = max(copy.created_at, finished_at or copy.created_at)
        return self._clock() - begun > self._deadline


def _gap(aggregation: LogAggregation) -> str:
    return f"YARN says of the log aggregation: {aggregation}; some node may have uploaded nothing"


def _facts(found: FoundLogFiles) -> Iterator[tuple[str, int, int]]:
    """Yield facts that stay the same from look to look once all files are uploaded."""
    for file in found.files:
        yield file.path, file.status.length, file.status.modified_ms
    if found.uploading:
        yield "is uploaded", 0, time.monotonic_ns()
