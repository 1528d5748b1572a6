"""The steps at which processes are killed: requests to the cluster, each with its moments."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from random import Random

WORKER, API = "worker", "API"


class Moment(StrEnum):
    """When the sender of a request is killed."""

    BEFORE = "before it reached the cluster"
    MIDDLE = "in the middle of its answer"
    BEHIND = "done, but not answered"
    AFTER = "up to 50 ms after its answer"  # commits happen in this time


_EACH = (Moment.BEFORE, Moment.BEHIND, Moment.AFTER)


@dataclass(frozen=True, slots=True)
class Step:
    """A request that the service sends in the course of its work."""

    name: str
    role: str  #: of the process that sends it
    pattern: re.Pattern[str]  #: of method and target: `PUT /gateway/…?op=RENAME…`
    moments: tuple[Moment, ...] = _EACH


@dataclass(frozen=True, slots=True)
class Point:
    """A step, and the moment at which its sender is killed."""

    step: Step
    moment: Moment


def _step(role: str, name: str, pattern: str, *more: Moment) -> Step:
    return Step(name, role, re.compile(pattern), (*_EACH, *more))


#: Roughly in the order in which the service takes them.
STEPS = (
    _step(API, "verify the caller", r"^GET .*op=GETHOMEDIRECTORY"),
    _step(API, "ask about one posted id", r"^GET .*/oozie/v2/job/[^/?]+\?show=info"),
    _step(API, "ask about many posted ids", r"^GET .*/oozie/v2/jobs\?.*filter=id%3D"),
    _step(WORKER, "ask about the jobs that are due", r"^GET .*/oozie/v2/jobs\?.*filter=id%3D"),
    _step(WORKER, "ask for a job's details", r"^GET .*/oozie/v2/job/[^/?]+\?show=info"),
    _step(WORKER, "ask YARN for the children of a launcher", r"^GET .*/cluster/apps\?"),
    _step(WORKER, "ask YARN for an application", r"^GET .*/cluster/apps/application_"),
    _step(WORKER, "list the aggregated files", r"^GET .*bucket-logs-.*op=LISTSTATUS"),
    _step(WORKER, "make the directory of the logs", r"^PUT .*/WORK/logs/\d[^.?]*\?.*op=MKDIRS"),
    _step(WORKER, "ask where to write the part", r"^PUT .*\.part-.*op=CREATE"),
    _step(WORKER, "ask where to read the file", r"^GET .*bucket-logs-.*op=OPEN"),
    _step(WORKER, "read the file", r"^GET .*/data/.*bucket-logs-", Moment.MIDDLE),
    _step(WORKER, "write the part", r"^PUT .*/data/.*\.part-"),
    _step(WORKER, "make the directory of a workflow", r"^PUT .*/\.tracker/.*op=MKDIRS"),
    _step(WORKER, "write the files of a workflow", r"^PUT .*/data/.*/\.tracker/"),
    _step(WORKER, "submit a workflow", r"^POST .*/oozie/v2/jobs\?"),
    _step(WORKER, "look for a workflow by its name", r"^GET .*/oozie/v2/jobs\?.*name%3Dtracker-"),
    _step(WORKER, "read what a workflow wrote", r"^GET .*/data/.*\.part-", Moment.MIDDLE),
    _step(WORKER, "compare the length of the part", r"^GET .*\.part-.*op=GETFILESTATUS"),
    _step(WORKER, "give the part the log's name", r"^PUT .*\.part-.*op=RENAME"),
    _step(WORKER, "compare the length of the log", r"^GET .*\.log\?op=GETFILESTATUS"),
    _step(WORKER, "remove the files of a workflow", r"^DELETE .*/\.tracker/"),
    _step(WORKER, "look for parts that are left", r"^GET .*/WORK/logs/[^.?]*\?.*op=LISTSTATUS"),
    _step(WORKER, "remove a part that is left", r"^DELETE .*\.part-"),
    _step(WORKER, "write the manifest", r"^PUT .*/data/.*\.manifest"),
    _step(WORKER, "deliver an event", r"^POST /receiver"),
    _step(WORKER, "give the manifest its name", r"^PUT .*\.manifest.*op=RENAME"),
)
POINTS = tuple(Point(step, moment) for step in STEPS for moment in step.moments)

_AT_ONCE = 8  #: points that wait for a process at the same time
_PATIENCE = 10  #: a point that was chosen in vain this often ranks like one with a hit more


class Plan:
    """Chooses the points of the next kills, always the points that were hit least.

    Only a few points wait at a time; with all of them, hardly any work would reach its later steps.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.hits: Counter[Point] = Counter()
        self._in_vain: Counter[Point] = Counter()
        self.chosen: frozenset[Point] = frozenset()

    def choose(self) -> None:
        """Choose points again; the points that were not reached come later."""
        self._in_vain.update(self.chosen)
        ordered = sorted(POINTS, key=self._rank)
        self.chosen = frozenset(ordered[:_AT_ONCE])

    def _rank(self, point: Point) -> tuple[float, float]:
        return self.hits[point] + self._in_vain[point] / _PATIENCE, self._rng.random()

    def hit(self, point: Point) -> None:
        """Count a kill at a point."""
        self.hits[point] += 1
        self._in_vain[point] = 0
        self.chosen -= {point}


def rows(hits: Counter[Point]) -> list[tuple[str, str, list[int | None]]]:
    """Return the rows of the table: role and name of a step, and the kills at each moment."""
    found: dict[Step, dict[Moment, int]] = {step: {} for step in STEPS}
    for step, moment in product(STEPS, Moment):
        if moment in step.moments:
            found[step][moment] = hits[Point(step, moment)]
    return [(s.role, s.name, [by.get(moment) for moment in Moment]) for s, by in found.items()]
