"""List failures grouped by fingerprint, page by page, the newest group first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select

from tracker_service.domain.causes import Category
from tracker_service.domain.jobs import JobId
from tracker_service.store.database import Connection
from tracker_service.store.tables import causes, jobs, tasks

_Row = Row[*tuple[Any, ...]]

NAMED = 20  #: the most jobs, and the most users, that a group names


@dataclass(frozen=True, slots=True)
class PageCursor:
    """The last group of a page; the next page begins after it."""

    last_at: datetime
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFilter:
    """Which failures are grouped, and which groups are listed."""

    owner: str | None  #: only failures of this user's tasks; None for all users
    since: datetime  #: earlier failures do not count
    category: Category | None = None
    after: PageCursor | None = None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failures with one fingerprint."""

    fingerprint: str
    category: Category  #: of the newest failure
    summary: str  #: of the newest failure
    count: int  #: of jobs
    first_at: datetime
    last_at: datetime
    jobs: Sequence[JobId]  #: the newest first, `NAMED` at most
    users: Sequence[str]  #: who submitted the jobs, the newest failure first, `NAMED` at most

    @property
    def cursor(self) -> PageCursor:
        """Return the cursor of a page that ends with this group."""
        return PageCursor(self.last_at, self.fingerprint)


_last_at = func.max(causes.c.failed_at)
_USER = func.coalesce(jobs.c.owner, tasks.c.owner)


def listed(connection: Connection, wanted: GroupFilter) -> list[FailureGroup]:
    """Return one page of groups, in the order of their newest failures, the newest first."""
    found = connection.execute(_page(wanted)).all()
    fingerprints = [row.fingerprint for row in found]
    ids = _newest(connection, wanted, fingerprints, jobs.c.external_id)
    users = _newest(connection, wanted, fingerprints, _USER)
    newest = _causes(connection, [ids[fingerprint][0].newest for fingerprint in fingerprints])
    return [
        FailureGroup(
            fingerprint=row.fingerprint,
            category=Category(newest[row.fingerprint].category),
            summary=newest[row.fingerprint].summary,
            count=row.number,
            first_at=row.first_at,
            last_at=row.last_at,
            jobs=[JobId(job.value) for job in ids[row.fingerprint]],
            users=[user.value for user in users[row.fingerprint]],
        )
        for row in found
    ]


def _page(wanted: GroupFilter) -> Select[Any]:
    page = (
        _failures(
            wanted,
            causes.c.fingerprint,
            func.count(jobs.c.external_id.distinct()).label("number"),
            func.min(causes.c.failed_at).label("first_at"),
            _last_at.label("last_at"),
        )
        .group_by(causes.c.fingerprint)
        .order_by(_last_at.desc(), causes.c.fingerprint)
        .limit(wanted.limit)
    )
    if wanted.after is None:
        return page
    is_as_old = and_(
        _last_at == wanted.after.last_at, causes.c.fingerprint > wanted.after.fingerprint
    )
    return page.having(or_(_last_at < wanted.after.last_at, is_as_old))


def _failures(wanted: GroupFilter, *columns: ColumnElement[Any]) -> Select[Any]:
    failures = (
        select(*columns)
        .select_from(causes)
        .join(jobs, jobs.c.id == causes.c.job_id)
        .join(tasks, tasks.c.id == causes.c.task_id)
        .where(causes.c.failed_at >= wanted.since)
    )
    if wanted.owner is not None:
        failures = failures.where(tasks.c.owner == wanted.owner)
    if wanted.category is not None:
        failures = failures.where(causes.c.category == wanted.category)
    return failures


def _newest(
    connection: Connection,
    wanted: GroupFilter,
    fingerprints: Sequence[str],
    value: ColumnElement[Any],
) -> Mapping[str, Sequence[Row[Any]]]:
    """Return the values of a column in each group, the newest failure first, `NAMED` at most."""
    if not fingerprints:
        return {}
    once = (
        _failures(
            wanted,
            causes.c.fingerprint,
            value.label("value"),
            _last_at.label("last_at"),
            func.max(causes.c.id).label("newest"),
        )
        .where(causes.c.fingerprint.in_(fingerprints))
        .group_by(causes.c.fingerprint, value)
        .subquery()
    )
    place = func.row_number().over(
        partition_by=once.c.fingerprint, order_by=(once.c.last_at.desc(), once.c.newest.desc())
    )
    ranked = select(once, place.label("place")).subquery()
    rows = connection.execute(
        select(ranked).where(ranked.c.place <= NAMED).order_by(ranked.c.fingerprint, ranked.c.place)
    )
    found: dict[str, list[Row[Any]]] = {fingerprint: [] for fingerprint in fingerprints}
    for row in rows:
        found[row.fingerprint].append(row)
    return found


def _causes(connection: Connection, ids: Sequence[int]) -> Mapping[str, _Row]:
    """Return the category and the summary of some causes, by fingerprint."""
    rows = connection.execute(
        select(causes.c.fingerprint, causes.c.category, causes.c.summary).where(
            causes.c.id.in_(ids)
        )
    )
    return {row.fingerprint: row for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFailure:
    """A family of failures that has hit several users."""

    fingerprint: str
    category: Category
    summary: str
    users: int


def of_several_users(
    connection: Connection, since: datetime, categories: Sequence[Category], users: int
) -> list[SharedFailure]:
    """Return the families since an instant that have hit at least so many users."""
    rows = connection.execute(
        select(
            causes.c.fingerprint,
            func.max(causes.c.category).label("category"),
            func.max(causes.c.summary).label("summary"),
            func.count(tasks.c.owner.distinct()).label("users"),
        )
        .join(tasks, tasks.c.id == causes.c.task_id)
        .where(causes.c.failed_at >= since, causes.c.category.in_(categories))
        .group_by(causes.c.fingerprint)
        .having(func.count(tasks.c.owner.distinct()) >= users)
        .order_by(causes.c.fingerprint)
    )
    return [SharedFailure(**{**row._mapping, "category": Category(row.category)}) for row in rows]
