"""The verbs for saved logs: verify, remove-logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tracker_service.cli import tables
from tracker_service.cli.options import NotDone, output_option, with_tracker

if TYPE_CHECKING:
    from tracker_service.client import LogCopy, TrackerClient

_PAUSE_S = 1.0  #: before the next question for a verdict


@click.command()
@click.argument("job_id", metavar="ID")
@output_option
@with_tracker
def verify(tracker: TrackerClient, job_id: str, output: str) -> None:
    """Read the saved logs of a job back, and compare their checksums.

    The exit code is 0 if all logs are intact, 1 if one is damaged, missing or cannot be compared,
    2 if there is no answer.

    \b
    Example:
      tracker verify 0000042-261122041514971-oozie-prod-W
    """
    found = list(_verified(tracker, job_id))
    if not found:
        raise NotDone(f"{job_id} has no logs: see tracker status {job_id}")
    if output == "json":
        fields = ("application", "path", "bytes", "sha256", "verified", "verdict")
        tables.show_json([{name: getattr(copy, name) for name in fields} for copy in found])
    else:
        click.echo(tables.verified(found))
    if not all(copy.verified for copy in found):
        click.get_current_context().exit(1)


def _verified(tracker: TrackerClient, job_id: str) -> Iterator[LogCopy]:
    """Verify one application after the other; show progress on standard error."""
    known = [copy.application for copy in tracker.logs_status(job_id).copies]
    for number, application in enumerate(known, 1):
        click.echo(f"reading {number} of {len(known)}: {application}", err=True)
        yield from _read_back(tracker, job_id, application)


def _read_back(tracker: TrackerClient, job_id: str, application: str) -> list[LogCopy]:
    """Verify one application; ask again while its log is being read."""
    while True:
        copies = tracker.verify(job_id, application).copies
        found = [copy for copy in copies if copy.application == application]
        if not any(copy.verifying for copy in found):
            return found
        time.sleep(_PAUSE_S)


@click.command("remove-logs")
@click.argument("job_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@with_tracker
def remove_logs(tracker: TrackerClient, job_id: str, yes: bool) -> None:
    """Remove the saved logs of a job from HDFS.

    Only files that the tracker wrote are removed. Copies that wait are cancelled; while a copy
    runs, nothing is removed. `tracker copy-logs` saves the logs again, while the cluster has them.

    \b
    Example:
      tracker remove-logs --yes 0000042-261122041514971-oozie-prod-W
    """
    if not yes:
        _ask(f"Remove the saved logs of {job_id} from HDFS?")
    for path in tracker.remove_logs(job_id):
        click.echo(tables.plain(path))


def _ask(question: str) -> None:
    """Exit unless the user says yes."""
    if not sys.stdin.isatty():
        raise click.UsageError("no terminal to ask on: give --yes")
    click.confirm(question, abort=True, err=True)


COMMANDS: tuple[click.Command, ...] = (verify, remove_logs)
