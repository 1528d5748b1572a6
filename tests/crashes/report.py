"""The result of a run, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.crashes.checks import LOST, TWICE, UNTIDY, Problem
from tests.crashes.endpoints import RUNS
from tests.crashes.seen import Seen
from tests.crashes.steps import POINTS, Moment, Point, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of a run."""

    kills: Counter[str]  #: by the role of the process
    hits: Counter[Point]
    jobs: int
    posts: int
    unanswered: int
    answered: int
    to_be_saved: int
    saved: int
    live: int
    reports: int
    check_runs: int
    copies: int
    tries: int
    published: int
    refreshes: int
    workflows: int
    manifests: int
    events: int
    deliveries: int
    received: Sequence[str]  #: ids of events
    requests: Counter[str]
    problems: Sequence[Problem]
    killing_s: float
    seconds: float

    @classmethod
    def of(
        cls,
        seen: Seen,
        problems: Sequence[Problem],
        hits: Counter[Point],
        killing_s: float,
        seconds: float,
    ) -> Report:
        """Read the figures from the database, the sandbox and the ledger."""
        succeeded, tries = seen.rows(
            "SELECT sum(CASE WHEN status = 'SUCCEEDED' THEN 1 ELSE 0 END), sum(attempt) FROM copies"
        )[0]
        [[events]] = seen.rows("SELECT count(*) FROM events")
        [[deliveries]] = seen.rows("SELECT count(*) FROM deliveries")
        [[live]] = seen.rows("SELECT count(*) FROM tasks WHERE state != 'ended'")
        ledger, record = seen.ledger, seen.sandbox.record
        to_be_saved = [key for key in ledger.answered if seen.is_to_be_saved(*key)]
        return cls(
            kills=seen.family.kills,
            hits=hits,
            jobs=len(ledger.started),
            posts=ledger.requests,
            unanswered=ledger.unanswered,
            answered=len(ledger.answered),
            to_be_saved=len(to_be_saved),
            saved=sum(seen.is_saved(*key) for key in to_be_saved),
            live=live,
            reports=seen.reports.number,
            check_runs=len(seen.rows(RUNS)),
            copies=int(succeeded or 0),
            tries=int(tries or 0),
            published=len(record.published),
            refreshes=ledger.refreshes.total(),
            workflows=sum(map(len, seen.workflows.values())),
            manifests=record.manifests,
            events=events,
            deliveries=deliveries,
            received=list(seen.sandbox.gateway.receiver.ids),
            requests=record.requests,
            problems=problems,
            killing_s=killing_s,
            seconds=seconds,
        )

    def number(self, kind: str) -> int:
        return len([problem for problem in self.problems if problem.kind == kind])

    @property
    def points_hit(self) -> int:
        return len([point for point in POINTS if self.hits[point]])

    def __str__(self) -> str:
        return "\n".join([*self._steps(), "", *self._figures(), *map(str, self.problems)])

    def _steps(self) -> Iterator[str]:
        yield f"| killed at this step | {' | '.join(Moment)} |"
        yield f"| --- |{' --- |' * len(Moment)}"
        for role, name, numbers in rows(self.hits):
            cells = " | ".join("" if number is None else str(number) for number in numbers)
            yield f"| {role}: {name} | {cells} |"

    def _figures(self) -> Iterator[str]:
        by_process = ", ".join(f"{number} {name}" for name, number in self.kills.most_common())
        different = len(set(self.received))
        at_steps = self.hits.total()
        asked = ", ".join(f"{number:,} {name}" for name, number in self.requests.most_common())
        yield "| what | how many |"
        yield "| --- | --- |"
        for name, value in {
            "kills": f"{self.kills.total()} in {self.killing_s:.0f} s: {by_process}",
            "of these at a step": f"{at_steps}; {self.points_hit} of {len(POINTS)} points hit",
            "jobs started": self.jobs,
            "requests of clients": f"{self.posts}, of which {self.unanswered} had to be repeated",
            "ids answered with 200, for a user": self.answered,
            "of these with logs to save": self.to_be_saved,
            "all of them saved": self.saved,
            "still tracked": self.live,
            "reports to a ledger answered": self.reports,
            "runs of checks, none left out": self.check_runs,
            "lost": self.number(LOST),
            "copies made": f"{self.copies} in {self.tries} tries, {self.workflows} workflows",
            "logs published": f"{self.published}; {self.refreshes} ids were requested again",
            "manifests written": self.manifests,
            "events": f"{self.events}, of which {self.deliveries} to deliver",
            "events received": f"{different}, and {len(self.received) - different} once more",
            "done twice": self.number(TWICE),
            "untidy": self.number(UNTIDY),
            "requests to the gateway": f"{self.requests.total():,}: {asked}",
            "seconds": f"{self.seconds:.0f}",
        }.items():
            yield f"| {name} | {value} |"
