"""Wait until jobs have ended, and until the logs of failed jobs are saved."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol, Self

import click

from tracker_service.cli.options import CannotTell
from tracker_service.cli.tables import plain, why
from tracker_service.client import Job, TrackerClient, TrackerClientError
from tracker_service.domain.jobs import JobStatus

_PAUSE_S = 2.0
_PAUSE_PER_JOB_S = 0.25  #: keeps many jobs below the request limit of one user
_AWAY_S = 180.0  #: how long the service may be unreachable


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of a job at one check."""

    job: Job
    is_over: bool  #: nothing more will happen

    @property
    def has_succeeded(self) -> bool:
        """Whether the job succeeded."""
        return self.job.status == JobStatus.SUCCEEDED

    @property
    def has_all_logs(self) -> bool:
        """Whether every wanted log is saved."""
        return all(copy.status == "SUCCEEDED" for copy in self.job.copies)


class Display(Protocol):
    """Shows progress while its block runs."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End."""

    def show(self, seen: Seen) -> None:
        """Show what has changed about a job."""

    def note(self, text: str) -> None:
        """Show a message about the waiting itself."""


def best_display() -> Display:
    """Return a live display on a terminal with `rich`, otherwise a display of lines."""
    if sys.stderr.isatty() and find_spec("rich"):
        from tracker_service.cli.live import LiveDisplay  # noqa: PLC0415

        return LiveDisplay()
    return LineDisplay()


class LineDisplay:
    """Prints a line on standard error for each change."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, seen: Seen) -> None:
        """Print what has changed about a job."""
        for subject, state in _facts(seen.job).items():
            if self._shown.get(subject) != state:
                self._shown[subject] = state
                self.note(f"{subject} {state}")

    def note(self, text: str) -> None:
        """Print a line."""
        click.echo(plain(text), err=True)


class Waiter:
    """Checks jobs again and again until all are over."""

    def __init__(
        self,
        tracker: TrackerClient,
        display: Display,
        timeout_s: float | None = None,
        *,
        wants_logs: bool = False,
    ) -> None:
        """Prepare to wait; the time-out counts from here.

        Args:
            timeout_s: give up after this time, in seconds.
            wants_logs: also wait for the logs of jobs that succeed.
        """
        self._tracker, self._display, self._timeout_s = tracker, display, timeout_s
        self._wants_logs = wants_logs
        self._began = self._heard = time.monotonic()

    def wait(self, ids: Sequence[str]) -> list[Seen]:
        """Return the last state of each job when all are over.

        Raises:
            CannotTell: the jobs were not over in time, or the service was unreachable too long.
            TrackerClientError: the service refuses to answer.
        """
        seen: dict[str, Seen] = {}
        left = list(ids)
        while left:
            for job_id in left:
                seen[job_id] = self._look(job_id)
                self._display.show(seen[job_id])
            left = [job_id for job_id in left if not seen[job_id].is_over]
            if left:
                self._pause(left)
        return [seen[job_id] for job_id in ids]

    def _look(self, job_id: str) -> Seen:
        """Check a job; try again while the service is unreachable."""
        while True:
            try:
                seen = self._seen(job_id)
            except TrackerClientError as error:
                self._wait_or_raise(error, job_id)
            else:
                self._heard = time.monotonic()
                return seen

    def _seen(self, job_id: str) -> Seen:
        job = self._tracker.job(job_id)
        if not has_ended(job):
            return Seen(job, False)
        if job.status == JobStatus.SUCCEEDED and not self._wants_logs:
            return Seen(job, True)
        if not self._tracker.logs_status(job_id).is_finished:
            return Seen(job, False)
        return Seen(self._tracker.job(job_id), True)  # copies may have ended since the first look

    def _wait_or_raise(self, error: TrackerClientError, job_id: str) -> None:
        """Wait a moment if the error may pass, otherwise raise it."""
        if not error.is_temporary:
            raise error
        if time.monotonic() - self._heard > _AWAY_S:
            raise CannotTell(f"{error.message} (no answer for {_AWAY_S:g} s)") from error
        self._display.note(f"{error.message} Asking again.")
        self._pause([job_id], error.retry_after or 0)

    def _pause(self, left: Sequence[str], at_least_s: float = 0) -> None:
        pause = max(_PAUSE_S, _PAUSE_PER_JOB_S * len(left), at_least_s)
        if self._timeout_s is not None:
            rest = self._began + self._timeout_s - time.monotonic()
            if rest <= 0:
                raise CannotTell(
                    f"not over after {self._timeout_s:g} s: {', '.join(left)}; the service goes on"
                )
            pause = min(pause, rest)
        time.sleep(pause)


def has_ended(job: Job) -> bool:
    """Tell whether a job has ended; its logs may still be copied."""
    return JobStatus.from_oozie(job.status).is_terminal


def _facts(job: Job) -> dict[str, str]:
    """Return the states of a job, its actions and its logs, each under a name for people."""
    facts = {}
    for action in job.actions:
        if not action.type.startswith(":"):  # the start, the end, forks and joins
            state = why(action.status, why(action.error_code, action.error_message))
            facts[f"{job.id} action {action.name}"] = state
    facts[job.id] = why(job.status, job.reason)
    for copy in job.copies:
        facts[f"{job.id} log of {copy.application}"] = why(copy.status, copy.reason)
    return facts
