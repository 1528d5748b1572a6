"""Answer why a job failed, and which other jobs failed for the same reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tracker_service.domain.applications import applications_of
from tracker_service.domain.causes import Category, Cause
from tracker_service.domain.failures import Conclude, Failure, Witness
from tracker_service.domain.jobs import JobId, JobStatus, JobType, type_of
from tracker_service.errors import GatewayError, NoCause
from tracker_service.identities import Caller
from tracker_service.store import causes, failure_groups
from tracker_service.store.causes import KeptCause, Others
from tracker_service.store.database import Store
from tracker_service.store.failure_groups import FailureGroup, GroupFilter, PageCursor
from tracker_service.tracking.conclusion import concluded, has_failed
from tracker_service.tracking.lookup import JobView, Lookup

_NEARBY = timedelta(days=1)  #: other failures count from this long before a failure
_LISTED_FOR = timedelta(days=7)  #: the age of the oldest failure in a list, by default
_NAMED = 5  #: the most failed children of a coordinator that one message names


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Why a run of a job failed, as one caller sees it."""

    job_id: JobId
    run: int
    cause: Cause
    failed_at: datetime | None
    decided_at: datetime | None  #: None if the cause is preliminary
    others: Others | None  #: other jobs with the same cause, of those that the caller may see


class Causes:
    """Reads kept causes; if none is kept yet, concludes a preliminary one.

    A caller sees nothing of jobs that they may not see; the counts leave these out, too.
    """

    def __init__(
        self, store: Store, lookup: Lookup, conclude: Conclude, clock: Callable[[], datetime]
    ) -> None:
        self._store, self._lookup = store, lookup
        self._conclude, self._clock = conclude, clock

    def of_job(self, caller: Caller, job_id: JobId, owner: str | None) -> Card:
        """Return why the newest run of a job failed.

        Args:
            owner: the user whose causes the caller may see; None for all users.

        Raises:
            NoCause: the job has not failed, or no cause was found.
            JobNotFound, GatewayUnavailable: as `Lookup.job`, if no cause is kept.
        """
        with self._store.read() as connection:
            kept = causes.find(connection, job_id, owner)
        try:
            view = self._lookup.job(caller, job_id)
        except GatewayError:
            if kept:
                return self._card(kept, owner)
            raise
        if card := self._of_view(view, kept, owner):
            return card
        raise NoCause(_why_none(view))

    def of_view(self, view: JobView, owner: str | None) -> Card | None:
        """Return why the run in a view failed; None if it did not, or if no cause was found.

        Args:
            owner: as in `of_job`.
        """
        if not has_failed(view.id, view.status):
            return None
        with self._store.read() as connection:
            kept = causes.find(connection, view.id, owner)
        return self._of_view(view, kept, owner)

    def _of_view(self, view: JobView, kept: KeptCause | None, owner: str | None) -> Card | None:
        if not has_failed(view.id, view.status):
            return None
        if kept and kept.run == view.run:
            return self._card(kept, owner)
        cause = concluded(self._conclude, self._known_so_far(view))
        return self._preliminary(view, cause, owner) if cause else None

    def _card(self, kept: KeptCause, owner: str | None) -> Card:
        return Card(
            job_id=kept.job_id,
            run=kept.run,
            cause=kept.cause,
            failed_at=kept.failed_at,
            decided_at=kept.decided_at,
            others=self._others(kept.cause, kept.job_id, owner, kept.failed_at),
        )

    def _preliminary(self, view: JobView, cause: Cause, owner: str | None) -> Card:
        failed_at = view.ended_at
        return Card(
            job_id=view.id,
            run=view.run,
            cause=cause,
            failed_at=failed_at,
            decided_at=None,
            others=self._others(cause, view.id, owner, failed_at or self._clock()),
        )

    def _others(
        self, cause: Cause, job_id: JobId, owner: str | None, failed_at: datetime
    ) -> Others | None:
        if cause.category == Category.UNKNOWN:  # two unknown causes need not be the same
            return None
        with self._store.read() as connection:
            return causes.count_others(
                connection, cause.fingerprint, job_id, owner, failed_at - _NEARBY
            )

    def _known_so_far(self, view: JobView) -> Failure:
        """Return what is known of a failure before all logs are saved, or of an untracked job."""
        if view.job_key is None:
            found = applications_of(view.id, view.actions)
            witnesses = [
                Witness(
                    application=application.id,
                    action=application.action,
                    workflow_id=application.workflow_id,
                    role=application.role,
                )
                for application in found
            ]
        else:
            with self._store.read() as connection:
                witnesses = causes.witnesses(connection, view.task_id, view.job_key)
        return Failure(
            job_id=view.id,
            run=view.run,
            status=view.status,
            actions=view.actions,
            witnesses=witnesses,
            is_complete=False,
        )

    def families(
        self,
        owner: str | None,
        *,
        since: datetime | None,
        category: Category | None,
        after: PageCursor | None,
        limit: int,
    ) -> Sequence[FailureGroup]:
        """List failures grouped by their fingerprints, the newest group first.

        Args:
            owner: count only failures of this user's tasks; None for all users.
            since: earlier failures do not count; None for a week ago.
            category: list only groups of this category; None for all.
            after: the cursor of the page before; None for the first page.
            limit: the most groups to return.
        """
        wanted = GroupFilter(
            owner=owner,
            since=since or self._clock() - _LISTED_FOR,
            category=category,
            after=after,
            limit=limit,
        )
        with self._store.read() as connection:
            return failure_groups.listed(connection, wanted)


def _why_none(view: JobView) -> str:
    """Return why there is no cause, and what the reader can do, as a sentence."""
    status = view.status
    if status == JobStatus.SUCCEEDED:
        return f"{view.id} SUCCEEDED: there is nothing to explain."
    if not status.is_terminal:
        wait = f"{view.id} is {status}: ask again when it has ended without success."
        never = "" if type_of(view.id) == JobType.WORKFLOW else _never_started(view)
        return f"{wait} {never}".strip()
    if type_of(view.id) != JobType.WORKFLOW:
        return _ask_its_workflows(view)
    if not has_failed(view.id, status):
        return f"{view.id} is {status}: Oozie tells nothing of it."
    return (
        f"{view.id} is {status}, and nothing that is known so far tells why: read its logs at "
        f"/api/job/{view.id}/logs."
    )


def _ask_its_workflows(view: JobView) -> str:
    failed = [
        job_id
        for job_id, status in view.children.items()
        if status.is_terminal and status != JobStatus.SUCCEEDED
    ]
    never = _never_started(view)
    if failed:
        start = f"{view.id} is {view.status}; why, the jobs that it started tell"
        return f"{start}. Ask about {_first(failed)}.{never and f' {never}'}"
    if never:
        return f"{view.id} is {view.status}. {never}"
    start = f"{view.id} is {view.status}, and no job that it started is known to have failed"
    if not view.is_tracked:
        return f"{start}: track it to have them followed."
    return (
        f"{start}: ask again in a minute. If that stays so, Oozie has purged them, or it does not "
        f"tell which they are: `oozie job -info {view.id}` lists what Oozie has."
    )


def _never_started(view: JobView) -> str:
    """Say which actions of a coordinator or bundle never became a job, and why; "" if none."""
    told = [
        f"{action.name} {action.status}"
        + (f" ({action.error_code})" if action.error_code else "")
        + (f": {action.error_message}" if action.error_message else "")
        for action in view.actions
    ]
    return f"What never became a job: {_first(told, '; ')}." if told else ""


def _first(texts: Sequence[str], separator: str = ", ") -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return f"{separator.join(texts[:_NAMED])}{more}"
