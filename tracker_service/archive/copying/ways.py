"""Take the next step of a copy; when its log is complete, choose the way and begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from tracker_service.archive.copying.aggregation import Aggregation, Ready
from tracker_service.archive.copying.earlier_runs import EarlierRuns
from tracker_service.archive.copying.log_files import FoundLogFiles, LogFileFinder
from tracker_service.archive.copying.progress import LOOK_AGAIN_AFTER, LimitReached, Progress
from tracker_service.archive.copying.tries import Tries
from tracker_service.domain.copies import Copy, CopyReason, CopyStatus, Strategy
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.webhdfs import WebHdfs

_LONGEST_PAUSE = timedelta(seconds=15)  #: between two looks at an application's log


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The way that was chosen for a log, and what the way has to know."""

    strategy: Strategy  #: DIRECT or WORKFLOW
    why: str
    log_owner: str  #: the user who ran the application
    log_files: FoundLogFiles
    gaps: tuple[str, ...]  #: what this way will miss


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no log."""

    reason: str


class Way(Protocol):
    """How a log is copied: from the beginning of a try to the log under its name.

    A copy may be found in any state after a crash. A part is never visible as a log; the rename,
    one atomic step of the NameNode, makes it one.
    """

    strategy: Strategy

    def limit_reached(self, owner: str) -> Reason[CopyReason] | None:
        """Say which limit leaves no room for one more copy; None if there is room."""

    def begin(self, access: ClusterAccess, copy: Copy, lease: Lease, choice: Choice) -> None:
        """Note a new try, then start it."""

    def is_progressing(self, copy: Copy, status: JobStatus | None) -> bool:
        """Tell whether a running copy needs nothing but time."""

    def resume(
        self, access: ClusterAccess, copy: Copy, lease: Lease, status: JobStatus | None
    ) -> None:
        """Bring a running copy on that does not progress by itself."""


class Ways:
    """Takes one step with one copy, in whatever state it is."""

    def __init__(
        self,
        *,
        aggregation: Aggregation,
        chooser: Chooser,
        earlier_runs: EarlierRuns,
        direct: Way,
        workflow: Way,
        tries: Tries,
        progress: Progress,
        clock: Callable[[], datetime],
    ) -> None:
        self._aggregation, self._chooser, self._earlier_runs = aggregation, chooser, earlier_runs
        self._direct, self._workflow = direct, workflow
        self._tries, self._progress, self._clock = tries, progress, clock

    def is_progressing(self, copy: Copy, statuses: Mapping[str, JobStatus]) -> bool:
        """Tell whether a running copy needs nothing but time.

        Args:
            statuses: of the workflows that Oozie knows, by their ids.
        """
        return self._way(copy).is_progressing(copy, statuses.get(copy.job or ""))

    def advance(
        self, access: ClusterAccess, copy: Copy, lease: Lease, statuses: Mapping[str, JobStatus]
    ) -> None:
        """Begin a copy that waits, if its log is complete; bring on one that was begun.

        Raises:
            LimitReached: the copy has to wait for a slot.
        """
        if copy.status == CopyStatus.WAITING:
            self._begin_if_ready(access, copy, lease)
        else:
            self._way(copy).resume(access, copy, lease, statuses.get(copy.job or ""))

    def _way(self, copy: Copy) -> Way:
        """Return the way of a copy: one whose way is open waits for the direct one."""
        return self._workflow if copy.strategy == Strategy.WORKFLOW else self._direct

    def _begin_if_ready(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        way = self._way(copy)
        if limit := way.limit_reached(copy.owner):
            raise LimitReached(way.strategy, limit)
        copy = self._placed(access, copy, lease)
        log_state = self._aggregation.look(access, copy)
        copy = replace(copy, diagnostics=log_state.diagnostics or copy.diagnostics)
        if isinstance(log_state, Ready):
            self._begin(access, copy, lease, log_state)
        elif log_state.is_final:
            self._tries.give_up(access, copy, lease, log_state.reason)
        else:
            waited = self._clock() - copy.created_at
            pause = max(LOOK_AGAIN_AFTER, min(waited / 4, _LONGEST_PAUSE))
            self._progress.postpone([copy], lease, pause, log_state.reason)

    def _placed(self, access: ClusterAccess, copy: Copy, lease: Lease) -> Copy:
        """Return a copy with the path that its log will have; the store learns it too."""
        path = self._earlier_runs.path_for(access.hdfs, copy)
        if path != copy.path:
            self._progress.note_path(copy, lease, path)
        return replace(copy, path=path)

    def _begin(self, access: ClusterAccess, copy: Copy, lease: Lease, ready: Ready) -> None:
        copy = replace(copy, log_at=ready.finished_at or copy.log_at)
        choice = self._chooser.choose(access.hdfs, copy, ready)
        if isinstance(choice, Lost):
            self._tries.give_up(access, copy, lease, _why_lost(copy, choice))
            return
        gaps = (*([ready.gap] if ready.gap else []), *choice.gaps)
        copy = replace(copy, gap="; ".join(gaps) or None)
        way = self._direct if choice.strategy == Strategy.DIRECT else self._workflow
        way.begin(access, copy, lease, choice)


class Chooser:
    """Chooses the way of a log among those that the settings allow.

    Args:
        strategy: the setting `copying.strategy`.
        direct_limit: bytes of aggregated files; a longer log is copied by a workflow.
        retention: after which the cluster deletes aggregated logs.
        tries: the setting `copying.tries`.
    """

    def __init__(
        self,
        finder: LogFileFinder,
        strategy: Strategy,
        direct_limit: int,
        retention: timedelta,
        clock: Callable[[], datetime],
        *,
        tries: int,
    ) -> None:
        self._finder, self._strategy, self._limit = finder, strategy, direct_limit
        self._retention, self._clock, self._tries = retention, clock, tries

    def choose(self, hdfs: WebHdfs, copy: Copy, ready: Ready) -> Choice | Lost:
        """Choose the way for a log that is complete.

        Raises:
            GatewayUnavailable, CredentialsRefused: the aggregated files could not be listed.
        """
        found = self._finder.find(hdfs, copy.application, ready.owner)
        is_tried_in_vain = bool(copy.attempt) and not found.files and self._is_deleted(copy, found)
        if (why := self._why_by_workflow(copy)) and not is_tried_in_vain:
            return _by_workflow(why, ready, found)
        is_after_workflow = copy.strategy == Strategy.DIRECT and copy.failures >= self._tries
        if is_after_workflow and not found.files:
            return Lost(copy.reason or "no workflow could copy it")
        if not found.files and (why_lost := self._why_lost(copy, found, ready)):
            return Lost(why_lost)
        if not is_after_workflow and (obstacle := self._obstacle(found)):
            return _by_workflow(obstacle, ready, found)
        return Choice(
            strategy=Strategy.DIRECT,
            why=(copy.strategy_reason if is_after_workflow else None) or _can_be_read(found),
            log_owner=ready.owner,
            log_files=found,
            gaps=tuple(found.unread()),
        )

    def _why_by_workflow(self, copy: Copy) -> str | None:
        """Say why a workflow has to copy a log, whatever files there are; None if that is open."""
        if copy.strategy == Strategy.WORKFLOW:  # decided before
            return copy.strategy_reason or ""
        return "the setting copying.strategy" if self._strategy == Strategy.WORKFLOW else None

    def _why_lost(self, copy: Copy, found: FoundLogFiles, ready: Ready) -> str | None:
        """Say why there is no log; None if a workflow may still find one."""
        if self._is_deleted(copy, found):
            return f"the cluster has deleted the log: it is from {copy.log_at:%Y-%m-%d %H:%M} UTC"
        if copy.attempt and copy.strategy == Strategy.DIRECT and not any(found.unread()):
            return "the cluster has deleted the log, or its owner has, since the last try"
        if self._strategy == Strategy.DIRECT and (unread := tuple(found.unread())):
            return "; ".join(unread)
        if self._strategy == Strategy.DIRECT:
            return "no aggregated file was found in copying.log_directories"
        is_nowhere = self._finder.knows_the_place and not any(found.unread())
        is_known_to_be_over = ready.finished_at is not None
        if (found.is_empty and is_known_to_be_over) or (ready.may_be_nowhere and is_nowhere):
            return "YARN has kept no log of this application: it may never have had a container"
        return None

    def _is_deleted(self, copy: Copy, found: FoundLogFiles) -> bool:
        """Tell whether a log that was not found is older than logs are kept."""
        return self._clock() - copy.log_at > self._retention and not found.archives

    def _obstacle(self, found: FoundLogFiles) -> str | None:
        """Say why a log is not copied directly; None if it is."""
        if self._strategy == Strategy.DIRECT:
            return None
        if found.archives:
            return f"{found.archives[0]}: only `yarn logs` reads archives"
        if not found.files:
            nowhere = "no aggregated file was found in copying.log_directories"
            return next(iter(found.denied), nowhere)
        if found.length > self._limit:
            return f"{found.length} bytes are more than copying.direct_limit allows"
        return None


def _why_lost(copy: Copy, lost: Lost) -> str:
    """Return why there is no log, and why it was not saved while there was one."""
    if not copy.attempt or not copy.reason or copy.reason == lost.reason:
        return lost.reason
    return f"{lost.reason} (before that: {copy.reason})"


def _can_be_read(found: FoundLogFiles) -> str:
    return f"{found.length} bytes in {len(found.files)} files can be read directly"


def _by_workflow(why: str, ready: Ready, found: FoundLogFiles) -> Choice:
    """Return the choice of the workflow, which sees what `yarn logs` sees."""
    unread = replace(found, archives=()).unread() if found.files else ()
    formats = "`yarn logs` prints the files of one format only, and there are two"
    return Choice(
        strategy=Strategy.WORKFLOW,
        why=why,
        log_owner=ready.owner,
        log_files=found,
        gaps=(*unread, *([formats] if found.formats_differ else [])),
    )
