"""The direct way of a copy: this process reads the aggregated files and writes the log."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tracker_service.archive.copying.direct_copy import DirectCopy
from tracker_service.archive.copying.log_files import FoundLogFiles
from tracker_service.archive.copying.progress import Progress
from tracker_service.archive.copying.publishing import Publisher
from tracker_service.archive.copying.streams import Streams
from tracker_service.archive.copying.ways import Choice
from tracker_service.audit import AuditedAction, audited
from tracker_service.causes.rules import Rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.applications import short
from tracker_service.domain.copies import Copy, CopyReason, Strategy
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.redaction.masking import Redaction
from tracker_service.redaction.secrets import Secrets
from tracker_service.sources.access import ClusterAccess

_INTERRUPTED = "the copy was interrupted; it is made again"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectOptions:
    """What a site sets for its direct copies."""

    limit: int  #: bytes of aggregated files that are unpacked
    secrets: Secrets | None  #: hidden in the saved log; None: nothing is hidden
    rules: Rules  #: find the lines that may tell why the job failed
    may_use_workflow: bool  #: a workflow may copy what cannot be unpacked here


class DirectWay:
    """Copies a log on a thread of this process.

    A copy whose thread runs in this process is never due. A running copy that is due was
    interrupted by a crash, of this worker or of another one.
    """

    strategy = Strategy.DIRECT

    def __init__(
        self,
        progress: Progress,
        publisher: Publisher,
        streams: Streams,
        options: DirectOptions,
    ) -> None:
        self._progress, self._publisher = progress, publisher
        self._streams, self._options = streams, options

    def limit_reached(self, owner: str) -> Reason[CopyReason] | None:
        """Say which limit leaves no room for one more copy; None if there is room."""
        return self._streams.limit_reached(owner)

    def begin(self, access: ClusterAccess, copy: Copy, lease: Lease, choice: Choice) -> None:
        """Note a new try, then copy the log on a thread of the streams."""
        started = self._progress.start_directly(copy, lease, choice.why)
        self._streams.start(started, lease, partial(self._copy, log_files=choice.log_files))

    def _copy(
        self, access: ClusterAccess, copy: Copy, lease: Lease, log_files: FoundLogFiles
    ) -> None:
        """Write the text of the log to the part, and publish it."""
        secrets = self._options.secrets
        direct_copy = DirectCopy(
            access.hdfs,
            copy,
            log_files,
            self._options.limit,
            self._streams.stopping,
            scanner=Scanner(self._options.rules),
            redaction=Redaction(secrets) if secrets else None,
            is_last=(is_last := self._is_last(copy)),
            has_workflow=self._options.may_use_workflow and not is_last,
        )
        what = {"job": copy.job_id, "applications": [short(copy.application)]}
        with audited(AuditedAction.COPY_LOG, copy.owner, **what):
            written = direct_copy.write()
        self._publisher.publish(access.hdfs, copy, lease, written)

    def _is_last(self, copy: Copy) -> bool:
        """Tell whether neither another direct try nor a workflow follows if this try fails."""
        if self._options.may_use_workflow:
            return self._progress.is_after_workflow(copy)
        return self._progress.is_last_try(copy)

    def is_progressing(self, copy: Copy, status: JobStatus | None) -> bool:
        """Tell whether a running copy needs nothing but time: one that is due has no thread."""
        return False

    def resume(
        self, access: ClusterAccess, copy: Copy, lease: Lease, status: JobStatus | None
    ) -> None:
        """Publish the part of an interrupted try if it was complete, or have a new try made."""
        if copy.part is None:
            self._progress.interrupted(copy, lease, _INTERRUPTED)
        else:
            self._publisher.publish(access.hdfs, copy, lease, copy.part)
