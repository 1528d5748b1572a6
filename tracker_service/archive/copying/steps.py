"""The steps of a copy: wait, start, go on after a crash, publish, or try again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from tracker_service.archive.checksum import Tally
from tracker_service.archive.copying import workflow_copy
from tracker_service.archive.copying.aggregation import Aggregation, Ready
from tracker_service.archive.copying.earlier_runs import EarlierRuns
from tracker_service.archive.copying.progress import LOOK, Progress
from tracker_service.archive.copying.publishing import part_path, publish, remove_parts
from tracker_service.archive.copying.streams import Streams
from tracker_service.archive.copying.ways import ByWorkflow, Chooser, Directly
from tracker_service.archive.copying.workflow_watch import WorkflowWatch
from tracker_service.causes.rules import Rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.copies import Contents, Copy, CopyStatus, Strategy, WrittenLog
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.errors import (
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    LeaseLost,
    LogFileBroken,
    RequestRefused,
    TrackerError,
)
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.store.database import Store

log = structlog.get_logger()

_LONGEST_LOOK = timedelta(seconds=15)  #: at an application whose log is not complete
_INTERRUPTED = "the copy was interrupted; it is made again"


@dataclass(frozen=True, slots=True)
class Next:
    """What is to be done after a step."""

    step: Step
    copy: Copy  #: as it stands then
    is_long: bool = False  #: it moves a whole log


Step = Callable[[ClusterAccess, Copy, Lease], Next | None]


class Steps:
    """What is done for a copy in each of its states.

    A copy may be found in any state after a crash. What was written under a part's name is never
    visible as a log, and only the rename, one atomic step of the NameNode, makes it one.
    """

    def __init__(
        self,
        store: Store,
        aggregation: Aggregation,
        chooser: Chooser,
        progress: Progress,
        workflows: WorkflowWatch,
        streams: Streams,
        rules: Rules,
        clock: Callable[[], datetime],
    ) -> None:
        self._aggregation, self._chooser, self._progress = aggregation, chooser, progress
        self._workflows, self._streams, self._clock = workflows, streams, clock
        self._earlier_runs, self._rules = EarlierRuns(store), rules

    def goes_on(self, copy: Copy, stands: Mapping[str, JobStatus]) -> bool:
        """Tell whether a copy needs nothing but time."""
        return has_workflow(copy) and self._workflows.goes_on(copy, stands.get(copy.job or ""))

    def next_of(self, copy: Copy, stands: Mapping[str, JobStatus]) -> Step:
        """Return what is to be done for a copy.

        Args:
            stands: the states of workflows that are known, by their ids.
        """
        if copy.status == CopyStatus.WAITING:
            return self._start_if_ready
        if copy.strategy == Strategy.DIRECT:
            return self._resume
        if copy.job is None:
            return self._workflows.find_again
        if stands.get(copy.job) == JobStatus.SUCCEEDED:
            return self._read_back_later
        return self._look_why

    def _start_if_ready(self, access: ClusterAccess, copy: Copy, lease: Lease) -> Next | None:
        """Start a copy whose log is complete, if there is a place for it."""
        is_by_workflow = waits_for(Strategy.WORKFLOW, copy)
        if is_by_workflow and (full := self._progress.what_is_full(copy.owner)):
            raise Full(Strategy.WORKFLOW, full)
        if not is_by_workflow and (full := self._streams.what_is_full):
            raise Full(Strategy.DIRECT, full)
        log_state = self._aggregation.look(access, copy)
        copy = replace(copy, diagnostics=log_state.diagnostics or copy.diagnostics)
        if isinstance(log_state, Ready):
            log_at = log_state.finished_at or copy.log_at
            path = self._earlier_runs.place_of(copy)
            copy = replace(copy, log_at=log_at, gap=log_state.gap, path=path)
            return self._start(access, copy, lease, log_state)
        if log_state.is_final:
            self._give_up(access, copy, lease, log_state.reason)
        else:
            waited = (self._clock() - copy.created_at) / 4
            pause = max(LOOK, min(waited, _LONGEST_LOOK))
            self._progress.later([copy], lease, pause, log_state.reason)
        return None

    def _start(self, access: ClusterAccess, copy: Copy, lease: Lease, ready: Ready) -> Next | None:
        way = self._chooser.choose(access.hdfs, copy, ready)
        if isinstance(way, Directly):
            return self._start_directly(copy, lease, way)
        if isinstance(way, ByWorkflow):
            return self._start_workflow(copy, lease, way)
        self._give_up(access, copy, lease, way.reason)
        return None

    def _start_workflow(self, copy: Copy, lease: Lease, way: ByWorkflow) -> Next | None:
        if copy.strategy != Strategy.WORKFLOW and (full := self._progress.what_is_full(copy.owner)):
            self._progress.leave_to_workflow(copy, lease, way.why)
            raise Full(Strategy.WORKFLOW, full)
        started = self._progress.start_workflow(copy, lease, way.why)
        if started is None:  # another worker took the last place
            self._progress.later([copy], lease, LOOK, "waits for a place")
            return None

        def submit(access: ClusterAccess, copy: Copy, lease: Lease) -> None:
            self._workflows.submit(access, copy, lease, way.log_owner)

        return Next(submit, started)

    def _start_directly(self, copy: Copy, lease: Lease, way: Directly) -> Next:
        def copy_directly(access: ClusterAccess, copy: Copy, lease: Lease) -> None:
            whole = way.write(access.hdfs, copy, self._streams, self._rules)
            self._publish(access, copy, lease, whole)

        started = self._progress.start_directly(copy, lease, way.why)
        return Next(copy_directly, started, is_long=True)

    def _resume(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Go on with a direct copy in which this or another worker was interrupted."""
        if copy.part is None:
            self._progress.interrupted(copy, lease, _INTERRUPTED)
        else:
            self._publish(access, copy, lease, copy.part)

    def _look_why(self, access: ClusterAccess, copy: Copy, lease: Lease) -> Next | None:
        status = self._workflows.look_why(access, copy, lease)
        if status == JobStatus.SUCCEEDED:
            return self._read_back_later(access, copy, lease)
        if status == JobStatus.KILLED:
            self._give_up(access, copy, lease, f"somebody killed {copy.job}", CopyStatus.KILLED)
        return None

    def _read_back_later(self, _: ClusterAccess, copy: Copy, lease: Lease) -> Next | None:
        """Have what a workflow wrote read back, which takes as long as the log is."""
        if full := self._streams.what_is_full:
            self._progress.later([copy], lease, LOOK, f"is copied and will be checked: {full}")
            return None
        return Next(self._read_back, copy, is_long=True)

    def _read_back(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Take the checksum of what a workflow wrote, and publish it."""
        whole = copy.part or self._whole_part(access.hdfs, copy)  # it was done before a crash
        self._publish(access, copy, lease, whole)

    def _whole_part(self, hdfs: WebHdfs, copy: Copy) -> WrittenLog:
        """Return what a workflow wrote, read back once.

        The cluster itself has put it there to its end. A gateway that cuts long streams takes the
        checksum away and not the log.
        """
        contents = Contents(gaps=(copy.gap,) if copy.gap else ())
        file, tally, scanner = hdfs.read(part_path(copy)), Tally(), Scanner(self._rules)
        if file.length == 0:
            file.pieces.close()
            raise RequestRefused("the copy workflow wrote an empty file")
        try:
            with closing(file.pieces):
                for _ in tally.of(scanner.of(file.pieces)):
                    if self._streams.is_stopping:
                        raise LeaseLost("this worker stops")
        except GatewayUnavailable as error:
            if not tally.length:
                raise
            log.warning("copy_not_read_back", job=copy.job_id, copy=copy.id, reason=str(error))
            return WrittenLog(file.length, None, contents)
        found = replace(contents, findings=scanner.findings.as_json())
        return WrittenLog(tally.length, tally.sha256, found)

    def _publish(self, access: ClusterAccess, copy: Copy, lease: Lease, whole: WrittenLog) -> None:
        self._earlier_runs.put_away(access.hdfs, copy, lease)
        publish(access.hdfs, self._progress, copy, lease, whole)
        if copy.strategy == Strategy.WORKFLOW or copy.attempt > 1:
            self._tidy(access, copy)
        self._progress.succeeded(copy, lease, whole)

    def fail(self, access: ClusterAccess, copy: Copy, lease: Lease, error: Exception) -> None:
        """Note a failed try; a log that cannot be copied directly is left to a workflow."""
        told = str(error)
        if not isinstance(error, TrackerError):
            log.error("copy_step_broke", job=copy.job_id, copy=copy.id, exc_info=error)
            told = unexpected(error)
        with _unless_lost(copy):
            if self._is_left_to_workflow(copy, error):
                self._progress.leave_to_workflow(copy, lease, told)
            else:
                self._progress.failed(copy, lease, _explained(copy, told))
            self._tidy(access, copy)

    def _is_left_to_workflow(self, copy: Copy, error: Exception) -> bool:
        if copy.strategy != Strategy.DIRECT or not self._chooser.may_use_workflow:
            return False
        return isinstance(error, LogFileBroken) or self._progress.is_last_try(copy)

    def _give_up(
        self,
        access: ClusterAccess,
        copy: Copy,
        lease: Lease,
        reason: str,
        status: CopyStatus = CopyStatus.FAILED,
    ) -> None:
        self._progress.gave_up(copy, lease, reason, status)
        if copy.attempt:
            self._tidy(access, copy)

    def _tidy(self, access: ClusterAccess, copy: Copy) -> None:
        """Remove what the tries have left, and never mind if that fails: the copy counts.

        What a crash leaves of a failed try, the end of the last one removes.
        """
        try:
            if copy.strategy == Strategy.WORKFLOW:
                workflow_copy.remove_files(access, copy)
            remove_parts(access.hdfs, copy)
        except CredentialsRefused:
            raise
        except GatewayError as error:
            log.info("copy_not_tidied", job=copy.job_id, copy=copy.id, reason=str(error))


@contextmanager
def _unless_lost(copy: Copy) -> Iterator[None]:
    try:
        yield
    except LeaseLost as error:
        log.warning("lease_lost", job=copy.job_id, copy=copy.id, reason=str(error))


class Full(Exception):
    """There is no place for one more copy of this kind."""

    def __init__(self, strategy: Strategy, what: str) -> None:
        super().__init__(f"waits for a place: {what}")
        self.strategy = strategy


def has_workflow(copy: Copy) -> bool:
    """Tell whether a workflow runs for a copy."""
    return copy.status == CopyStatus.RUNNING and copy.strategy == Strategy.WORKFLOW


def waits_for(strategy: Strategy, copy: Copy) -> bool:
    """Tell whether a copy waits, and for a place of this kind."""
    if copy.status != CopyStatus.WAITING:
        return False
    return (copy.strategy == Strategy.WORKFLOW) == (strategy == Strategy.WORKFLOW)


def unexpected(error: Exception) -> str:
    """Say that something happened that nobody has thought of."""
    return f"something unexpected went wrong in the tracker: {error!r}"


def _explained(copy: Copy, told: str) -> str:
    """Add what `yarn logs` hides: it says "not found" as well of what the user may not read."""
    if copy.job_user and copy.job_user != copy.owner:
        return (
            f"{told} (the job belongs to {copy.job_user}: {copy.owner} needs the right to read "
            f"its logs in HDFS, or {copy.job_user} tracks it)"
        )
    return told
