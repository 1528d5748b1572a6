"""Choose the next job: days after days of the sources, the day before today first.

As the job service of Gardener, see https://github.com/m-lab/etl-gardener; each source has a cursor
of its own, so that writers who may ask for some sources only do not keep back the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tracker_service.domain.ledger import NO_DATASETS, Datasets, LedgerJob, Scope, yesterday

DAILY, HISTORICAL = "daily", "historical"
_DAY = timedelta(days=1)
_DATA_AFTER = timedelta(hours=24 + 10, minutes=30)  #: a day's data is there so long after midnight
_TOO_RECENT = timedelta(hours=36)  #: a historical date this young begins a new round
_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the jobs of an experiment and datatype come from."""

    bucket: str
    experiment: str
    datatype: str
    filter: str = ""
    datasets: Datasets = NO_DATASETS
    daily_only: bool = False
    full_history: bool = False  #: also what is older than a year

    def job(self, date: datetime) -> LedgerJob:
        """Return the job of one day."""
        return LedgerJob(
            bucket=self.bucket,
            experiment=self.experiment,
            datatype=self.datatype,
            date=date,
            filter=self.filter,
            datasets=self.datasets,
        )


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """How far a source is."""

    round: int
    date: datetime  #: the next one


Place = tuple[str, str]  #: the iterator, and the name of the source
Cursors = dict[Place, Cursor]


@dataclass(slots=True)
class Walk:
    """The cursors of a ledger while jobs are chosen."""

    cursors: Cursors
    moved: Cursors = field(default_factory=dict)  #: what has to be stored

    def move(self, place: Place, cursor: Cursor) -> None:
        """Set the cursor of a source."""
        self.cursors[place] = self.moved[place] = cursor


class JobService:
    """The sources of a ledger, and their order."""

    def __init__(self, sources: Sequence[Source], start_date: datetime) -> None:
        """Make a job service.

        Args:
            start_date: UTC midnight of the first day.
        """
        self.sources, self._start = sources, start_date
        self._names = _names(sources)
        self._historical = [n for n, source in enumerate(sources) if not source.daily_only]

    def begin_walk(self, cursors: Cursors, now: datetime) -> Walk:
        """Return a walk on which each source has a cursor; those of the ledger may lack some."""
        walk = Walk(cursors)
        self._place(walk, DAILY, range(len(self.sources)), yesterday(now))
        self._place(walk, HISTORICAL, self._historical, self._start)
        return walk

    def choose(self, walk: Walk, now: datetime, scope: Scope) -> LedgerJob | None:
        """Return the next job for a writer and move its cursor; None if there is none now."""
        return self._daily(walk, now, scope) or self._of_history(walk, now, scope)

    def begin(self, dates: Mapping[str, datetime]) -> Cursors:
        """Return the cursors with which the iterators begin at given dates."""
        return {
            (iterator, name): Cursor(0, date)
            for iterator, date in dates.items()
            for name in self._names
        }

    def _daily(self, walk: Walk, now: datetime, scope: Scope) -> LedgerJob | None:
        number = self._first(walk, DAILY, range(len(self.sources)), scope)
        if number is None:
            return None
        place = DAILY, self._names[number]
        date = walk.cursors[place].date
        if now - date < _DATA_AFTER:
            return None
        walk.move(place, Cursor(0, date + _DAY))
        return self.sources[number].job(date)

    def _of_history(self, walk: Walk, now: datetime, scope: Scope) -> LedgerJob | None:
        """Return the next job that is not too old; give up after as many as there are sources."""
        for _ in self._historical:
            self._wrap(walk, now)
            number = self._first(walk, HISTORICAL, self._historical, scope)
            if number is None:
                return None
            place, source = (HISTORICAL, self._names[number]), self.sources[number]
            cursor = walk.cursors[place]
            walk.move(place, Cursor(cursor.round, cursor.date + _DAY))
            if source.full_history or now - cursor.date <= _YEAR:
                return source.job(cursor.date)
        return None

    def _place(self, walk: Walk, iterator: str, numbers: Sequence[int], start: datetime) -> None:
        """Give each source a cursor: a new source joins the others where they are."""
        places = [(iterator, self._names[number]) for number in numbers]
        there = [walk.cursors[place] for place in places if place in walk.cursors]
        for place in places:
            if place not in walk.cursors:
                walk.move(place, min(there, default=Cursor(0, start)))

    def _wrap(self, walk: Walk, now: datetime) -> None:
        """Begin a new round for sources that have come to the present, or that begin later now."""
        for number in self._historical:
            place = HISTORICAL, self._names[number]
            cursor = walk.cursors[place]
            if cursor.date < self._start:
                walk.move(place, Cursor(cursor.round, self._start))
            elif now - cursor.date < _TOO_RECENT and cursor.date != self._start:
                walk.move(place, Cursor(cursor.round + 1, self._start))

    def _first(self, walk: Walk, iterator: str, numbers: Sequence[int], scope: Scope) -> int | None:
        """Return the number of the source whose turn it is."""
        asked = [
            (walk.cursors[iterator, self._names[number]], number)
            for number in numbers
            if scope.covers(self.sources[number].experiment, self.sources[number].datatype)
        ]
        return min(asked)[1] if asked else None


def _names(sources: Sequence[Source]) -> list[str]:
    """Return a name for each source; a second one for the same jobs has a number in its name."""
    seen, names = Counter[str](), []
    for source in sources:
        name = f"{source.bucket}/{source.experiment}/{source.datatype}"
        names.append(f"{name}#{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names
