"""The verbs about jobs: track, untrack, status, copy-logs, jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tracker_service.cli import tables
from tracker_service.cli.options import NotDone, output_option, with_tracker
from tracker_service.domain.jobs import JobId, unique
from tracker_service.domain.written_ids import UnreadableIdsError, WrittenId, decoded, read_ids

if TYPE_CHECKING:
    from tracker_service.cli.waiting import Seen
    from tracker_service.client import TrackerClient

_INTERRUPTED = 130  #: what a shell says of a command that Ctrl-C has ended


def _wait_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that make a verb wait until all jobs are over."""
    wait = click.option("--wait", is_flag=True, help="Show progress until all jobs are over.")
    timeout = click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="With --wait: stop waiting after this time.",
    )
    return wait(timeout(function))


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID... | -")
@click.option(
    "--copy",
    "copies",
    type=click.Choice(["always"]),
    help="Save the logs however the jobs end.",
)
@_wait_options
@output_option
@with_tracker
def track(
    tracker: TrackerClient,
    ids: Sequence[str],
    copies: str | None,
    wait: bool,
    timeout: float | None,
    output: str,
) -> None:
    """Track jobs, and save the logs of jobs that fail.

    `-` takes every Oozie id from the text on standard input. ...-C@12 and ...-C@1-3 are actions of
    a coordinator: the workflows that they start are tracked. With --wait the exit code is 0 if all
    jobs succeeded, 1 if one did not and its logs are saved, 2 if there is no answer.

    \b
    Example:
      oozie job -run -config job.properties | tracker track -
      tracker track --copy always 0000042-261122041514971-oozie-prod-W
      tracker track --wait 0000042-261122041514971-oozie-prod-W
    """
    _check_timeout(wait, timeout)
    wanted = unique(written.text for written in _wanted(ids))
    answered = tracker.track(wanted, copies_always=copies is not None)
    missing = [answer.id for answer in answered if answer.status == "NOT_FOUND"]
    if wait:
        found = [answer.id for answer in answered if answer.id not in missing]
        ended = _ended(tracker, found, timeout, wants_logs=copies is not None)
        _show_ended(ended, output)
        _end_with(all(seen.has_succeeded for seen in ended))
    elif output == "json":
        tables.show_json([answer.raw for answer in answered])
    else:
        click.echo(tables.answers(answered))
    _end_if_missing(missing)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@with_tracker
def untrack(tracker: TrackerClient, ids: Sequence[str]) -> None:
    """Stop tracking jobs.

    Saved logs stay. Copies that run are finished.

    \b
    Example:
      tracker untrack 0000042-261122041514971-oozie-prod-W
    """
    for job_id in unique(written.id for written in _wanted(ids)):
        tracker.untrack(job_id)
        click.echo(f"{job_id} is not tracked any more")


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--refresh", is_flag=True, help="Ask Oozie now.")
@output_option
@with_tracker
def status(tracker: TrackerClient, job_id: str, refresh: bool, output: str) -> None:
    """Show the state of a job, its actions and its saved logs.

    \b
    Example:
      tracker status 0000042-261122041514971-oozie-prod-W
      tracker status --output json 0000042-261122041514971-oozie-prod-W | jq -r .status
    """
    job = tracker.job(job_id, refresh=refresh)
    if output == "json":
        tables.show_json(job.raw)
    else:
        click.echo(tables.job(job))


@click.command("copy-logs")
@click.argument("ids", nargs=-1, required=True, metavar="ID... | -")
@click.option("--refresh", is_flag=True, help="Copy saved logs again.")
@_wait_options
@output_option
@with_tracker
def copy_logs(
    tracker: TrackerClient,
    ids: Sequence[str],
    refresh: bool,
    wait: bool,
    timeout: float | None,
    output: str,
) -> None:
    """Save the logs of jobs, however the jobs end.

    With --wait the exit code is 0 if all logs are saved, 1 if one is not, 2 if there is no answer.

    \b
    Example:
      tracker copy-logs --wait 0000042-261122041514971-oozie-prod-W
    """
    _check_timeout(wait, timeout)
    wanted = unique(written.id for written in _wanted(ids))
    progress = tracker.copy_logs(wanted, refresh=refresh)
    if wait:
        found = [job_id for job_id in wanted if job_id not in progress.not_found]
        ended = _ended(tracker, found, timeout, wants_logs=True)
        _show_ended(ended, output)
        _end_with(all(seen.has_all_logs for seen in ended))
    elif output == "json":
        tables.show_json(progress.raw)
    else:
        click.echo(tables.copy_progress(progress))
    _end_if_missing(progress.not_found)


@click.command("jobs")
@click.option(
    "--status", "statuses", multiple=True, help="List only jobs in this state; repeatable."
)
@click.option(
    "--owner", help="For admins and auditors: list this user's jobs, or * for everybody's."
)
@click.option(
    "--oozie", "--all", "all_of_oozie", is_flag=True, help="List all jobs that Oozie has."
)
@click.option(
    "--filter", "oozie_filter", default="", help="With --oozie: a filter as Oozie takes it."
)
@click.option(
    "--type",
    "jobtype",
    type=click.Choice(["wf", "coord", "bundle"]),
    default="wf",
    help="With --oozie: the kind of job.",
)
@click.option("--offset", default=1, help="With --oozie: number of the first job, from 1.")
@click.option("--len", "length", default=50, help="With --oozie: how many jobs.")
@output_option
@with_tracker
def list_jobs(
    tracker: TrackerClient,
    statuses: Sequence[str],
    owner: str | None,
    all_of_oozie: bool,
    output: str,
    **page: Any,  # noqa: ANN401
) -> None:
    """List the jobs that you track, or all jobs that Oozie has.

    \b
    Example:
      tracker jobs --status RUNNING --status SUSPENDED
      tracker jobs --oozie --filter 'user=guest;status=KILLED' --len 20
    """
    if all_of_oozie:
        _list_oozie(tracker, statuses, output, **page)
        return
    found = list(tracker.tracking([status.upper() for status in statuses], owner))
    if output == "json":
        tables.show_json([job.raw for job in found])
    else:
        click.echo(tables.tracked(found))


def _list_oozie(
    tracker: TrackerClient,
    statuses: Sequence[str],
    output: str,
    *,
    oozie_filter: str,
    jobtype: str,
    offset: int,
    length: int,
) -> None:
    wanted = [oozie_filter, *(f"status={status.upper()}" for status in statuses)]
    page = tracker.jobs(
        offset=offset, length=length, filter=";".join(filter(None, wanted)), jobtype=jobtype
    )
    if output == "json":
        tables.show_json(page.raw)
    else:
        click.echo(tables.oozie_jobs(page))


def _check_timeout(wait: bool, timeout: float | None) -> None:
    if timeout is not None and not wait:
        raise click.UsageError("--timeout needs --wait")


def _ended(
    tracker: TrackerClient,
    ids: Sequence[str],
    timeout: float | None,
    *,
    wants_logs: bool = False,
) -> list[Seen]:
    """Show progress until all jobs are over, and return their last state."""
    from tracker_service.cli import waiting  # noqa: PLC0415

    try:
        with waiting.best_display() as display:
            return waiting.Waiter(tracker, display, timeout, wants_logs=wants_logs).wait(ids)
    except KeyboardInterrupt:
        click.echo("stopped waiting; the service goes on", err=True)
        click.get_current_context().exit(_INTERRUPTED)


def _show_ended(ended: Sequence[Seen], output: str) -> None:
    if output == "json":
        tables.show_json([seen.job.raw for seen in ended])
    else:
        click.echo("\n\n".join(tables.job(seen.job) for seen in ended))


def _end_with(is_good: bool) -> None:
    """Exit with 1 unless all is good."""
    if not is_good:
        click.get_current_context().exit(1)


def _end_if_missing(ids: Sequence[str]) -> None:
    if ids:
        raise NotDone(f"Oozie does not know {', '.join(ids)}")


def _wanted(ids: Sequence[str]) -> list[WrittenId]:
    """Return the named ids; `-` stands for the ids in standard input.

    Raises:
        click.UsageError: standard input has no id, or something that resembles one.
    """
    found: list[WrittenId] = []
    for text in ids:
        found += _piped() if text == "-" else _named(text)
    return found


def _named(text: str) -> list[WrittenId]:
    """Return the ids in an argument; the service refuses one that is no id."""
    try:
        return read_ids(text)
    except UnreadableIdsError:
        return [WrittenId(text, JobId(text))]


def _piped() -> list[WrittenId]:
    text = decoded(sys.stdin.buffer.read())
    try:
        found = read_ids(text, in_prose=True)
    except UnreadableIdsError as error:
        raise click.UsageError(f"in standard input: {tables.plain(error)}") from error
    if not found:
        sample = (
            f"; it begins with {tables.plain(text)[:100]!r}" if text.strip() else ": it is empty"
        )
        raise click.UsageError(f"no Oozie job id in standard input{sample}")
    return [WrittenId(written.id, written.id) for written in found]


COMMANDS: tuple[click.Command, ...] = (track, untrack, status, copy_logs, list_jobs)
