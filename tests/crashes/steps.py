"""The steps at which processes are killed: requests to the cluster, each with its moments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

WORKER, API = "worker", "API"


class Moment(StrEnum):
    """When the sender of a request is killed."""

    BEFORE = "before it reached the cluster"
    MIDDLE = "in the middle of its answer"
    BEHIND = "done, but not answered"
    AFTER = "up to 50 ms after its answer"  # here lie the commits


_EACH = (Moment.BEFORE, Moment.BEHIND, Moment.AFTER)


@dataclass(frozen=True, slots=True)
class Step:
    """A request that part of the service sends in the course of its work."""

    name: str
    role: str  #: of the process that sends it
    pattern: re.Pattern[str]  #: of method and target: `PUT /gateway/…?op=RENAME…`
    moments: tuple[Moment, ...] = _EACH


@dataclass(frozen=True, slots=True)
class Point:
    """A step, and when its sender is killed there."""

    step: Step
    moment: Moment


def _step(role: str, name: str, pattern: str, *more: Moment) -> Step:
    return Step(name, role, re.compile(pattern), (*_EACH, *more))


#: About in the order in which they are done.
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
    _step(WORKER, "give the manifest its name", r"^PUT .*\.manifest.*op=RENAME"),
)
POINTS = tuple(Point(step, moment) for step in STEPS for moment in step.moments)


class Plan:
    """Knows at which points processes are to be killed, so that in the end each was hit alike.

    Args:
        share: of all kills, those at points.
    """

    def __init__(self, share: float = 0.8) -> None:
        self._share = share
        self.hits: Counter[Point] = Counter()

    def wanted(self, points: Sequence[Point], kills: int) -> Point | None:
        """Return that of some points which was hit least, if it is its turn after so many kills."""
        point = min(points, key=self.hits.__getitem__)
        quota = 1 + self._share * kills / len(POINTS)
        return point if self.hits[point] < quota else None


def rows(hits: Counter[Point]) -> list[tuple[str, str, list[int | None]]]:
    """Return of each step its role, its name and the kills at each moment, if it has that."""
    found: dict[Step, dict[Moment, int]] = {step: {} for step in STEPS}
    for step, moment in product(STEPS, Moment):
        if moment in step.moments:
            found[step][moment] = hits[Point(step, moment)]
    return [(s.role, s.name, [by.get(moment) for moment in Moment]) for s, by in found.items()]
