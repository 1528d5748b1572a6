"""The jobs of a ledger, their states, and what an update makes of a status."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tracker_service.errors import BadInput, InvalidStateTransition, OutOfScope

INIT = "init"  #: the job was given out, or added
PARSE_ERROR = "parseError"  #: the parser has reported an error
PARSE_COMPLETE = "postProcessing"  #: ready for post-processing
FAILED = "failed"  #: somebody must look at it
COMPLETE = "complete"

UNCHANGED = "-"  #: a detail that leaves the detail as it is
LONGEST_KEY, LONGEST_STATE = 500, 255  #: characters; longer ones are refused
NO_DATE = datetime(1, 1, 1, tzinfo=UTC)  #: of a job without one: the zero time of Go
LONGEST_DETAIL = 65_536  #: characters; the rest is cut off


@dataclass(frozen=True, slots=True)
class Datasets:
    """The datasets that the work on a job goes through."""

    tmp: str = ""
    raw: str = ""
    join: str = ""


NO_DATASETS = Datasets()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerJob:
    """All data of one day, experiment and datatype."""

    bucket: str
    experiment: str
    datatype: str
    date: datetime  #: in its own zone, usually UTC
    filter: str = ""  #: an expression for names of archives, for the parser alone
    datasets: Datasets = NO_DATASETS

    @property
    def key(self) -> str:
        """Return the id of the job; jobs that differ only in filter and datasets are one."""
        return f"{self.bucket}/{self.experiment}/{self.datatype}/{_compact(self.date)}"

    @property
    def path(self) -> str:
        """Return the URL of the job's files in Google's storage."""
        return f"gs://{self.bucket}/{self._directory}"

    @property
    def prefix(self) -> str:
        """Return the path of the job's files in their bucket.

        Raises:
            BadInput: nothing is left after the bucket.
        """
        bucket, _, prefix = self.path.removeprefix("gs://").partition("/")
        if not bucket and not prefix:
            raise BadInput("Bad GCS path")
        return prefix

    @property
    def _directory(self) -> str:
        parts = (self.experiment, self.datatype) if self.datatype else (self.experiment,)
        day = f"{self.date.year:04}/{self.date.month:02}/{self.date.day:02}"
        return "".join(f"{part}/" for part in (*parts, day))

    @property
    def table_partition(self) -> str:
        """Return the partition of the job in the table of its datatype."""
        return f"{self.datatype}${_compact(self.date)}"

    def is_daily(self, now: datetime) -> str:
        """Return `true` if the job is about yesterday (UTC), else `false`."""
        return "true" if self.date == yesterday(now) else "false"

    def __str__(self) -> str:
        return f"{_compact(self.date)}:{self.experiment}/{self.datatype}"


def yesterday(now: datetime) -> datetime:
    """Return the UTC midnight with which the day before this one began."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=1)


def _compact(date: datetime) -> str:
    return f"{date.year:04}{date.month:02}{date.day:02}"


@dataclass(frozen=True, slots=True)
class StateInfo:
    """One state in the history of a job."""

    state: str
    start: datetime
    detail_time: datetime  #: when the detail was set, or the state began
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of the appended history: a state that begins, or a detail of it."""

    number: int  #: grows by one with each row of a job, over all its runs
    run: int  #: raised each time the job is started again
    entry: int  #: number of the state in its run, from 0
    state: str
    at: datetime
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a job stands: its last two states, and what has been appended to its history."""

    start_time: datetime  #: of the first state
    last: StateInfo
    before: StateInfo | None = None  #: the state before the last one
    heartbeat_time: datetime | None = None
    update_count: int = 0
    run: int = 0
    entry: int = 0  #: number of the last state, from 0
    rows: int = 0  #: in the history
    appended: tuple[HistoryRow, ...] = ()  #: rows that are not stored yet

    @classmethod
    def new(cls, now: datetime, *, run: int = 0, rows: int = 0) -> Status:
        """Return the status of a job that has just been added."""
        row = HistoryRow(rows + 1, run, 0, INIT, now, "")
        first = StateInfo(INIT, now, now)
        return cls(start_time=now, last=first, run=run, rows=rows + 1, appended=(row,))

    @property
    def state(self) -> str:
        """Return the last state."""
        return self.last.state

    @property
    def prev(self) -> str:
        """Return the state before the last one, or `init`."""
        return self.before.state if self.before else INIT

    @property
    def label(self) -> str:
        """Return the state for metrics: that of a failed job also says where it failed."""
        return f"{self.prev}-{FAILED}" if self.state == FAILED else self.state

    @property
    def detail(self) -> str:
        """Return the last detail; while that is empty, the one of the state before."""
        return self.last.detail or (self.before.detail if self.before else "")

    @property
    def detail_time(self) -> datetime:
        """Return when the last detail was set."""
        return self.last.detail_time

    @property
    def state_change_time(self) -> datetime:
        """Return when the last state began."""
        return self.last.start

    @property
    def error(self) -> str:
        """Return why the job has failed; empty if it has not."""
        return self.last.detail if self.state == FAILED else ""

    @property
    def elapsed(self) -> timedelta:
        """Return the time from the start to the last detail, rounded to a second."""
        seconds = (self.detail_time - self.start_time).total_seconds()
        return timedelta(seconds=int(max(0.0, seconds) + 0.5))

    def new_state(self, state: str, now: datetime) -> Status:
        """Return the status with a new state; the same status if that is the last one already."""
        if state == self.state:
            return self
        last = StateInfo(state, now, now)
        return self._append(last, before=self.last, entry=self.entry + 1)

    def set_detail(self, detail: str, now: datetime) -> Status:
        """Return the status with another detail of the last state; `-` leaves it as it is."""
        if detail == UNCHANGED:
            return self
        last = StateInfo(self.last.state, self.last.start, now, detail)
        return self._append(last, before=self.before, entry=self.entry)

    def updated(self, state: str, detail: str, now: datetime) -> Status:
        """Return the status after an update: the detail belongs to the state that ends."""
        counted = replace(self, update_count=self.update_count + 1)
        return counted.set_detail(detail, now).new_state(state, now)

    def with_detail(self, detail: str, now: datetime) -> Status:
        """Return the status after an update of the detail alone."""
        return replace(self.set_detail(detail, now), update_count=self.update_count + 1)

    def with_error(self, message: str, now: datetime) -> Status:
        """Return the status of a job that has failed in its last state."""
        detail = f"{self.state}: {message}"
        return self.new_state(FAILED, now).set_detail(detail, now)

    def _append(self, last: StateInfo, *, before: StateInfo | None, entry: int) -> Status:
        number = self.rows + 1
        row = HistoryRow(number, self.run, entry, last.state, last.detail_time, last.detail)
        appended = (*self.appended, row)
        return replace(self, last=last, before=before, entry=entry, rows=number, appended=appended)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job of a ledger and where it stands."""

    id: int
    job: LedgerJob
    status: Status
    key: str  #: as the ledger has it; an imported key need not be that of its job


@dataclass(frozen=True, slots=True)
class Scope:
    """The jobs that a writer may ask for and report; None: all."""

    experiment: str | None = None
    datatype: str | None = None

    def covers(self, experiment: str, datatype: str) -> bool:
        """Tell whether jobs of an experiment and datatype belong to it."""
        return self.experiment in (None, experiment) and self.datatype in (None, datatype)

    def check(self, experiment: str, datatype: str) -> None:
        """Check that a job belongs to it.

        Raises:
            OutOfScope: it does not.
        """
        if not self.covers(experiment, datatype):
            raise OutOfScope(f"this key may not report jobs of {experiment}/{datatype}")


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Transitions:
    """The states that may follow each state; without any, every state may follow every other."""

    allowed: Mapping[str, Collection[str]] | None = None

    def check(self, before: str, after: str) -> None:
        """Check a change of state.

        Raises:
            InvalidStateTransition: the settings do not allow it.
        """
        if self.allowed is None or before == after:
            return
        following = self.allowed.get(before, ())
        if after not in following:
            known = ", ".join(following) or "no other state"
            raise InvalidStateTransition(f"{after} cannot follow {before}; {known} can")


ANY_TRANSITION = Transitions()


@dataclass(frozen=True, slots=True)
class EndedWorkflow:
    """How a workflow of post-processing has ended."""

    succeeded: bool
    why: str = ""  #: if it has not, in a sentence


def history_of(rows: Collection[HistoryRow], run: int) -> list[StateInfo]:
    """Return the states of one run from the rows of a history, in their order."""
    states: dict[int, StateInfo] = {}
    for row in sorted(rows, key=lambda row: row.number):
        if row.run == run:
            begun = states.get(row.entry)
            start = begun.start if begun else row.at
            states[row.entry] = StateInfo(row.state, start, row.at, row.detail)
    return [states[entry] for entry in sorted(states)]
