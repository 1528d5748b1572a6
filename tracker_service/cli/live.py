"""Show the progress of jobs on a terminal, one line and one bar for each job, with `rich`."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
)
from rich.table import Column

from tracker_service.cli.tables import plain
from tracker_service.cli.waiting import Seen, has_ended
from tracker_service.client import Job

_BAR_WIDTH, _NAME_WIDTH = 12, 24
_ENDED_ACTIONS = ("OK", "ERROR", "KILLED", "FAILED", "DONE")


class LiveDisplay:
    """One line for each job on standard error, redrawn when the job changes."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(_BAR_WIDTH, table_column=Column(min_width=_BAR_WIDTH)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            # Only this column is cut when the line is too long.
            TextColumn("{task.fields[doing]}", table_column=Column(ratio=1, no_wrap=True)),
            console=console or Console(stderr=True),
            expand=True,
        )
        self._lines: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, seen: Seen) -> None:
        """Redraw the line of a job."""
        job, (done, known) = seen.job, _steps(seen)
        status = f"[{_colour(seen)}]{escape(plain(job.status))}[/]"
        state: dict[str, Any] = {
            "description": f"{escape(_title(job))} {status}",
            "completed": done,
            "total": known,
            "doing": escape(plain(_doing(job))) if not seen.is_over else "",
        }
        if job.id in self._lines:
            self._progress.update(self._lines[job.id], **state)
        else:
            self._lines[job.id] = self._progress.add_task(**state)

    def note(self, text: str) -> None:
        """Print a line above the jobs."""
        self._progress.console.print(escape(plain(text)))


def _title(job: Job) -> str:
    """Return a short title of a job: its number, its kind, its name."""
    number, _, rest = plain(job.id).partition("-")
    return f"{number}-…-{rest[-1:]} {plain(job.name or '')[:_NAME_WIDTH]}"


def _steps(seen: Seen) -> tuple[int, int]:
    """Return how many steps have ended, and how many are known.

    Steps are actions, copies and the job itself; so the bar is full only when the job is over.
    """
    ended = sum(action.status in _ENDED_ACTIONS for action in seen.job.actions)
    ended += sum(copy.is_finished for copy in seen.job.copies)
    return ended + seen.is_over, len(seen.job.actions) + len(seen.job.copies) + 1


def _doing(job: Job) -> str:
    """Return in a few words what the job is doing now."""
    if job.reason:
        return job.reason
    if has_ended(job):
        waits = [copy for copy in job.copies if not copy.is_finished]
        return f"log: {waits[0].reason or waits[0].status}" if waits else "saving logs"
    running = [action.name for action in job.actions if action.status not in _ENDED_ACTIONS]
    return f"action {', '.join(running)}" if running else ""


def _colour(seen: Seen) -> str:
    if seen.has_succeeded:
        return "green"
    return "red" if has_ended(seen.job) else "cyan"
