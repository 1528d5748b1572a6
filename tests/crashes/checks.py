"""Check the promises: nothing is lost, nothing is done twice, no working file is left."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.crashes.clients import USERS
from tests.crashes.endpoints import RUNS, left_out
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
_EVENTS = "SELECT id, type, owner, subject, data FROM events"
_DELIVERIES = (
    "SELECT deliveries.state, events.id, deliveries.answer FROM deliveries"
    " JOIN events ON events.sequence = deliveries.event"
)
_REPORTS = (
    "SELECT job_key, update_count, ledger_changes.detail FROM ledger_jobs"
    " JOIN ledger_changes ON ledger_changes.job_id = ledger_jobs.id"
)
_HISTORY = (
    "SELECT jobs.external_id, jobs.run, from_status, to_status FROM job_state_changes"
    " JOIN jobs ON jobs.id = job_state_changes.job_id ORDER BY jobs.id, sequence"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A promise that was not kept."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def problems(seen: Seen, left: Sequence[str]) -> list[Problem]:
    """Return every promise that was not kept.

    Args:
        left: descriptions of the tasks that were not finished in time.
    """
    return [
        *(Problem(LOST, f"not finished in time: {text}") for text in left),
        *(Problem(LOST, text) for text in seen.ledger.wrong),
        *_lost_ids(seen),
        *_lost_logs(seen),
        *_published_twice(seen),
        *_submitted_twice(seen),
        *_tasks(seen),
        *_history(seen),
        *_left_over(seen),
        *_manifests(seen),
        *_events(seen),
        *_changes_told(seen),
        *_deliveries(seen),
        *_reports(seen),
        *(Problem(LOST, text) for text in left_out(seen.rows(RUNS), time.time())),
    ]


def _reports(seen: Seen) -> Iterator[Problem]:
    """Each report that was answered is kept, and each job of the ledger was given out once."""
    kept: dict[str, tuple[int, set[str]]] = {}
    for key, updates, detail in seen.rows(_REPORTS):
        kept.setdefault(key, (updates, set()))[1].add(detail)
    yield from (Problem(LOST, text) for text in seen.reports.lost(kept))
    yield from (Problem(LOST, text) for text in seen.reports.wrong)
    yield from (Problem(TWICE, text) for text in seen.reports.given_twice())


def _lost_ids(seen: Seen) -> Iterator[Problem]:
    """Each id that was answered with 200 is in its user's list, in the state that Oozie has."""
    lists = {user: seen.tracked(user) for user in USERS}
    for user, job in sorted(seen.ledger.answered):
        status, listed = seen.status(job), lists[user].get(job)
        if listed != status:
            yield Problem(LOST, f"{user}'s list says {listed} of {job}, which is {status}")


def _lost_logs(seen: Seen) -> Iterator[Problem]:
    """The log of each application of a failed job is saved under its name, byte by byte."""
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
    """A log is published once, and at most once more for each request to copy it again."""
    times = Counter((log.user, log.job, log.path) for log in seen.sandbox.record.published)
    for (user, job, path), number in times.items():
        if number > 1 + seen.ledger.refreshes[user, job]:
            yield Problem(TWICE, f"{path} was published {number} times")


def _submitted_twice(seen: Seen) -> Iterator[Problem]:
    """A try has one workflow; a copy has one that succeeds, and one more for each such request."""
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
    """Each user has one task for a job, a live task is in a jobset, and the sizes are right."""
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
    """Each change of a job's state begins with the state in which the change before ended."""
    changes: defaultdict[tuple[str, int], list[Any]] = defaultdict(list)
    for job, run, before, after in seen.rows(_HISTORY):
        changes[job, run].append((before, after))
    for job, history in changes.items():
        if (
            history[0][0] is not None
            or any(a == b for a, b in history)
            or any(first[1] != then[0] for first, then in pairwise(history))
        ):
            yield Problem(TWICE, f"the history of {job}: {history}")


def _events(seen: Seen) -> Iterator[Problem]:
    """Each user is told once of each failure, and that its logs are saved."""
    told = Counter((type_, owner, job) for _, type_, owner, job, _ in seen.rows(_EVENTS))
    for user, job in sorted(seen.ledger.answered):
        if seen.status(job) not in ("KILLED", "FAILED"):
            continue
        if (number := told["tracker.job.failed", user, job]) != 1:
            text = f"{user} was told {number} times that {job} failed"
            yield Problem(TWICE if number else LOST, text)
        if seen.logs(job) and not told["tracker.logs.saved", user, job]:
            yield Problem(LOST, f"{user} was not told that the logs of {job} are saved")


def _changes_told(seen: Seen) -> Iterator[Problem]:
    """Each change of a job's state has one event for a user who tracks it, and never two."""
    changes = Counter(tuple(row) for row in seen.rows(_HISTORY))
    told: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for _, type_, owner, job, data in seen.rows(_EVENTS):
        if type_ == "tracker.job.state_changed":
            what = json.loads(data) if isinstance(data, str) else data
            told[job, what["run"], what["from"], what["to"]][owner] += 1
    answered = {job for _, job in seen.ledger.answered}
    for (job, run, before, after), number in changes.items():
        users = told[job, run, before, after]
        text = f"that {job} went from {before} to {after} is told {dict(users)}"
        if job in answered and before is not None and not users:
            yield Problem(LOST, text)
        if users and max(users.values()) > number:
            yield Problem(TWICE, text)


def _deliveries(seen: Seen) -> Iterator[Problem]:
    """The receiver has each event that was to be delivered, and no event that was undone."""
    got = set(seen.sandbox.gateway.receiver.ids)
    for event in got - {row[0] for row in seen.rows(_EVENTS)}:
        yield Problem(TWICE, f"the event {event} was delivered, and is not in the log")
    for state, event, answer in seen.rows(_DELIVERIES):
        if state != "delivered":
            yield Problem(LOST, f"the event {event} is {state}: {answer}")
        elif event not in got:
            yield Problem(LOST, f"the event {event} counts as delivered, and nobody got it")


def _left_over(seen: Seen) -> Iterator[Problem]:
    """No unfinished part of a log and no working file is left."""
    for path in seen.files:
        if ".part" in path or "/.tracker/" in path:
            yield Problem(UNTIDY, f"{path} is left")


def _manifests(seen: Seen) -> Iterator[Problem]:
    """The manifest beside the logs lists exactly these logs."""
    for user, job in sorted(seen.ledger.answered):
        if not seen.is_to_be_saved(user, job) or not (logs := seen.logs(job)):
            continue
        path = f"/user/{user}/WORK/logs/{job}/manifest.json"
        if path not in seen.files:
            yield Problem(LOST, f"there is no {path}")
            continue
        expected = {f"{a}.log": (len(t), hashlib.sha256(t).hexdigest()) for a, t in logs.items()}
        listed = {
            log["file"]: (log["bytes"], log["sha256"])
            for log in json.loads(seen.files[path])["applications"]
        }
        if listed != expected:
            yield Problem(LOST, f"{path} says {listed}, and there is {expected}")
