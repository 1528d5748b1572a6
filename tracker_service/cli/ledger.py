"""The verbs for ledgers: jobs, show, retry; export, import and key on the service's machine."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracker_service.cli import tables
from tracker_service.cli.options import output_option, with_tracker
from tracker_service.cli.service import with_settings

if TYPE_CHECKING:
    from tracker_service.client import TrackerClient, WholeLedgerJob
    from tracker_service.settings import Settings

_ledger_option = click.option(
    "--ledger", default="default", show_default=True, help="Name of the ledger."
)


@click.group("ledger")
def ledger() -> None:
    """Look at jobs that report themselves, and move them from a Gardener and back.

    \b
    Example:
      tracker ledger jobs --state failed
    """


@ledger.command()
@click.option("--state", help="Only jobs in this state.")
@_ledger_option
@output_option
@with_tracker
def jobs(tracker: TrackerClient, state: str | None, ledger: str, output: str) -> None:
    """List the jobs of a ledger, those first that were started first.

    \b
    Example:
      tracker ledger jobs --state failed
    """
    found = list(tracker.ledger_jobs(ledger=ledger, state=state))
    if output == "json":
        tables.show_json([job.raw for job in found])
        return
    rows = [(job.id, job.label, job.updates, job.updated, job.error or job.detail) for job in found]
    click.echo(tables.table(("JOB", "STATE", "UPDATES", "UPDATED", "DETAIL OR ERROR"), rows))


@ledger.command()
@click.argument("job", metavar="JOB")
@_ledger_option
@output_option
@with_tracker
def show(tracker: TrackerClient, job: str, ledger: str, output: str) -> None:
    """Show a job with its whole history.

    \b
    Example:
      tracker ledger show archive-measurement-lab/ndt/ndt7/20240102
    """
    _show(tracker.ledger_job(job, ledger=ledger), output)


@ledger.command()
@click.argument("job", metavar="JOB")
@_ledger_option
@output_option
@with_tracker
def retry(tracker: TrackerClient, job: str, ledger: str, output: str) -> None:
    """Put a job that has failed back into the state in which it failed.

    Only writers and admins may do it.

    \b
    Example:
      tracker ledger retry archive-measurement-lab/ndt/ndt7/20240102
    """
    _show(tracker.retry_ledger_job(job, ledger=ledger), output)


@ledger.command("export")
@_ledger_option
@with_settings
def export_jobs(chosen: Settings, ledger: str) -> None:
    """On the service's machine: print a ledger as the saved state of a Gardener.

    \b
    Example:
      tracker ledger export > gardener-tracker-state-v2.json
    """
    from tracker_service.cli import ledgers  # noqa: PLC0415

    for piece in ledgers.exported(chosen, ledger):
        click.echo(piece, nl=False)


@ledger.command("import")
@click.argument("state", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--daily",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the date of the daily iterator: gardener-job.YesterdaySource-singleton.",
)
@click.option(
    "--historical",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the date of the historical iterator: gardener-job.Service-singleton.",
)
@_ledger_option
@with_settings
def import_jobs(
    chosen: Settings, state: Path, daily: Path | None, historical: Path | None, ledger: str
) -> None:
    """On the service's machine: add the jobs of a Gardener's saved state to a ledger.

    All jobs are added, or none. Stop the Gardener first.

    \b
    Example:
      tracker ledger import gardener-tracker-state-v2.json
    """
    from tracker_service.cli import ledgers  # noqa: PLC0415

    number = ledgers.imported(chosen, ledger, state, {"daily": daily, "historical": historical})
    click.echo(f"added {number} jobs to the ledger {ledger}", err=True)


@ledger.command()
@click.argument("name")
def key(name: str) -> None:
    """Make a key for a writer, and print it with its entry for `ledger.writers`.

    The service keeps the hash alone; the key is not shown again.

    \b
    Example:
      tracker ledger key parser
    """
    from tracker_service.ledger.writers import hash_of  # noqa: PLC0415

    secret = secrets.token_urlsafe(24)
    click.echo(f"key: {secret}")
    click.echo(f"as a URL of Gardener's client: http://{name}:{secret}@HOST:PORT")
    click.echo(f"entry: {{name: {name}, sha256: {hash_of(secret)}}}")


def _show(job: WholeLedgerJob, output: str) -> None:
    if output == "json":
        tables.show_json(job.raw)
        return
    facts = [
        ("state", job.label),
        ("detail", job.detail),
        ("error", job.error),
        ("started", job.started),
        ("updated", job.updated),
        ("heartbeat", job.heartbeat),
        ("updates", job.updates),
    ]
    click.echo(f"{tables.plain(job.id)} is {tables.plain(job.state)}")
    for name, value in facts:
        if value not in (None, ""):
            click.echo(f"  {name:9}  {tables.plain(value)}")
    if job.left_out:
        click.echo(f"  the oldest {job.left_out} rows of its history are not kept")
    rows = [(row["at"], row["run"], row["state"], row["detail"]) for row in job.history]
    click.echo("")
    click.echo(tables.table(("AT", "RUN", "STATE", "DETAIL"), rows))
