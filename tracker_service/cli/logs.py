"""The verb `logs`, which prints logs: whole, in parts, or while they are written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from tracker_service.cli import paint
from tracker_service.cli.options import NotDone, with_tracker
from tracker_service.domain.log_levels import LogLevel

if TYPE_CHECKING:
    from tracker_service.client import Job, TrackerClient

_INTERRUPTED = 130  #: the exit code of a command that Ctrl-C has ended
_LEVEL = click.Choice([*LogLevel.__members__], case_sensitive=False)


def _reading_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose what of a log is printed."""
    for option in (
        click.option("--level", type=_LEVEL, help="Lines of this level and above."),
        click.option("--context", type=click.IntRange(0, 50), help="Lines around each match."),
        click.option("--grep", metavar="PATTERN", help="Lines that match, in RE2 syntax."),
        click.option("--tail", type=click.IntRange(1, 100_000), help="The last lines."),
        click.option("--file", help="Files of this name, such as stderr."),
        click.option("--container", help="Files of this container."),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("job_id", metavar="ID")
@click.argument("application", required=False, metavar="[APPLICATION]")
@click.option("--app", help="The same as APPLICATION.")
@_reading_options
@click.option("--follow", "-f", is_flag=True, help="Print on while the application runs.")
@with_tracker
def logs(
    tracker: TrackerClient,
    job_id: str,
    application: str | None,
    app: str | None,
    follow: bool,
    **chosen: Any,  # noqa: ANN401
) -> None:
    """Print the saved logs of a job, or of one of its applications.

    The options that choose lines or files read the log of one application: the one that you name,
    the only one, or the one that failed. --follow prints its log while it is written, and the rest
    once it is saved; Ctrl-C ends that.

    \b
    Example:
      tracker logs 0000042-261122041514971-oozie-prod-W | grep -A20 Traceback
      tracker logs 0000042-261122041514971-oozie-prod-W application_1529519049029_0001
      tracker logs --file stderr --tail 50 0000042-261122041514971-oozie-prod-W
      tracker logs --grep 'Caused by' --context 3 0000042-261122041514971-oozie-prod-W
      tracker logs --level ERROR --app 1529519049029_0001 0000042-261122041514971-oozie-prod-W
      tracker logs --follow 0000042-261122041514971-oozie-prod-W
    """
    named = _named(application, app)
    given = {name: value for name, value in chosen.items() if value is not None}
    if follow:
        _follow(tracker, job_id, named, given)
    else:
        _show(_opened(tracker, job_id, named, given))


def _named(application: str | None, app: str | None) -> str | None:
    if application and app and application != app:
        raise click.UsageError("name the application once: as APPLICATION or with --app")
    return application or app


def _opened(
    tracker: TrackerClient, job_id: str, named: str | None, given: dict[str, Any]
) -> Iterable[bytes]:
    from tracker_service.client import Reading  # noqa: PLC0415

    if not given:
        return tracker.logs(job_id, named)
    application = named or chosen_application(tracker.job(job_id))
    return tracker.logs(job_id, application, Reading(**given))


def chosen_application(job: Job) -> str:
    """Return the only application of a job, or the one that failed.

    If there are several, a notice on standard error names the one that failed.

    Raises:
        NotDone: no application of the job is known.
        click.UsageError: the job has several applications, and it is unknown which one failed.
    """
    if not job.applications:
        raise NotDone(f"no application of {job.id} is known: it is {job.status}")
    if len(job.applications) == 1:
        return job.applications[0]
    proofs = job.cause.evidence if job.cause else ()
    failed = next((proof.application for proof in proofs if proof.application), None)
    names = ", ".join(job.applications)
    if failed not in job.applications:
        raise click.UsageError(f"{job.id} has several applications, name one with --app: {names}")
    click.echo(f"{failed} is the one that failed of {names}", err=True)
    return failed


def _show(pieces: Iterable[bytes], *, at_once: bool = False) -> None:
    """Print a log: harmless and in colours on a terminal, otherwise byte by byte as it is.

    Args:
        at_once: flush each piece, because the next one may come late.
    """
    shown = pieces
    if paint.is_on_terminal():
        shown = paint.painted(pieces, in_colour=paint.wants_colour())
    try:
        for piece in shown:
            sys.stdout.buffer.write(piece)
            if at_once:
                sys.stdout.buffer.flush()
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader, such as `head`, wants no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _follow(tracker: TrackerClient, job_id: str, named: str | None, given: dict[str, Any]) -> None:
    from tracker_service.cli.following import Follower  # noqa: PLC0415

    if misplaced := sorted(given.keys() - {"container", "file"}):
        raise click.UsageError(f"--follow prints all lines: leave out --{', --'.join(misplaced)}")
    follower = Follower(tracker, job_id, chosen_application, **given)
    try:
        _show(follower.pieces(named), at_once=True)
    except KeyboardInterrupt:
        click.echo("not following any more; the service goes on", err=True)
        click.get_current_context().exit(_INTERRUPTED)


COMMANDS: tuple[click.Command, ...] = (logs,)
