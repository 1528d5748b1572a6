"""Check what was promised: nothing is lost, nothing is done twice, nothing is left lying about."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.crashes.clients import USERS
from tests.crashes.seen import Seen

LOST, TWICE, UNTIDY = "lost", "done twice", "untidy"

_TASKS = (
    "SELECT tasks.owner, jobs.external_id, jobs.run, tasks.state, tasks.jobset_id, jobsets.id"
    " FROM tasks JOIN jobs ON jobs.id = tasks.job_id"
    " LEFT JOIN jobsets ON jobsets.id = tasks.jobset_id"
)
_SIZES = (
    "SELECT jobsets.id, jobsets.size, count(tasks.id) FROM jobsets LEFT JOIN tasks"
    " ON tasks.jobset_id = jobsets.id AND tasks.state != 'ended'"
    " GROUP BY jobsets.id, jobsets.size"
)
_HISTORY = (
    "SELECT jobs.external_id, jobs.run, from_status, to_status FROM job_state_changes"
    " JOIN jobs ON jobs.id = job_state_changes.job_id ORDER BY jobs.id, sequence"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A promise that was not kept."""

    kind: str
    told: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.told}"


def problems(seen: Seen, left: Sequence[str]) -> list[Problem]:
    """Return every promise that was not kept.

    Args:
        left: what was not finished in time.
    """
    return [
        *(Problem(LOST, f"not finished in time: {told}") for told in left),
        *(Problem(LOST, told) for told in seen.ledger.wrong),
        *_lost_ids(seen),
        *_lost_logs(seen),
        *_published_twice(seen),
        *_submitted_twice(seen),
        *_tasks(seen),
        *_history(seen),
        *_left_over(seen),
        *_manifests(seen),
    ]


def _lost_ids(seen: Seen) -> Iterator[Problem]:
    """Each id that was answered with 200 is in its user's list, as Oozie has it."""
    lists = {user: seen.tracked(user) for user in USERS}
    for user, job in sorted(seen.ledger.answered):
        status, told = seen.status(job), lists[user].get(job)
        if told != status:
            yield Problem(LOST, f"{user}'s list says {told} of {job}, which is {status}")


def _lost_logs(seen: Seen) -> Iterator[Problem]:
    """The log of each application of a job that failed has its name, with exactly its bytes."""
    for user, job in sorted(seen.ledger.answered):
        if not seen.is_to_be_saved(user, job):
            continue
        for application, log in seen.logs(job).items():
            path = f"/user/{user}/WORK/logs/{job}/{application}.log"
            saved = seen.files.get(path)
            if saved is None:
                yield Problem(LOST, f"there is no {path}")
            elif saved != log:
                yield Problem(
                    LOST, f"{path} has {len(saved)} bytes, the log {len(log)}, not the same"
                )


def _published_twice(seen: Seen) -> Iterator[Problem]:
    """A log got its name once, and once more at most for each wish to copy it again."""
    times = Counter((told.user, told.job, told.path) for told in seen.sandbox.record.published)
    for (user, job, path), number in times.items():
        if number > 1 + seen.ledger.refreshes[user, job]:
            yield Problem(TWICE, f"{path} was published {number} times")


def _submitted_twice(seen: Seen) -> Iterator[Problem]:
    """A try has one workflow, and a copy one that succeeds, or one more for each such wish."""
    succeeded: Counter[str] = Counter()
    for name, states in seen.workflows.items():
        if len(states) > 1:
            yield Problem(TWICE, f"{name} was submitted {len(states)} times")
        succeeded[name.split("-")[2]] += states.count("SUCCEEDED")
    for owner, job, copy in seen.rows(
        "SELECT tasks.owner, jobs.external_id, copies.id FROM copies"
        " JOIN tasks ON tasks.id = copies.task_id JOIN jobs ON jobs.id = tasks.job_id"
    ):
        if succeeded[copy] > 1 + seen.ledger.refreshes[owner, job]:
            yield Problem(TWICE, f"{succeeded[copy]} workflows have copied for {copy} of {job}")


def _tasks(seen: Seen) -> Iterator[Problem]:
    """Each user has one task for a job; it is owned as long as it lives; the sizes add up."""
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for owner, job, _, state, jobset, there in seen.rows(_TASKS):
        found[owner, job] += 1
        if state != "ended" and there is None:
            yield Problem(LOST, f"{owner}'s task of {job} is {state} and in no jobset ({jobset})")
    for key in sorted(seen.ledger.answered):
        if found[key] != 1:
            yield Problem(TWICE if found[key] else LOST, f"{key} has {found[key]} tasks")
    for jobset, size, live in seen.rows(_SIZES):
        if size != live:
            yield Problem(UNTIDY, f"the jobset {jobset} has {live} tasks and says {size}")


def _history(seen: Seen) -> Iterator[Problem]:
    """Each change of a job's state goes on from the one before."""
    changes: defaultdict[tuple[str, int], list[Any]] = defaultdict(list)
    for job, run, before, after in seen.rows(_HISTORY):
        changes[job, run].append((before, after))
    for job, theirs in changes.items():
        if (
            theirs[0][0] is not None
            or any(a == b for a, b in theirs)
            or any(first[1] != then[0] for first, then in pairwise(theirs))
        ):
            yield Problem(TWICE, f"the history of {job}: {theirs}")


def _left_over(seen: Seen) -> Iterator[Problem]:
    """No part and no working file is left."""
    for path in seen.files:
        if ".part" in path or "/.tracker/" in path:
            yield Problem(UNTIDY, f"{path} is left")


def _manifests(seen: Seen) -> Iterator[Problem]:
    """The manifest beside the logs says what is there."""
    for user, job in sorted(seen.ledger.answered):
        if not seen.is_to_be_saved(user, job) or not (logs := seen.logs(job)):
            continue
        path = f"/user/{user}/WORK/logs/{job}/manifest.json"
        if path not in seen.files:
            yield Problem(LOST, f"there is no {path}")
            continue
        expected = {f"{a}.log": (len(t), hashlib.sha256(t).hexdigest()) for a, t in logs.items()}
        told = {
            each["file"]: (each["bytes"], each["sha256"])
            for each in json.loads(seen.files[path])["applications"]
        }
        if told != expected:
            yield Problem(LOST, f"{path} says {told}, and there is {expected}")
