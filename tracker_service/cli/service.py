"""The verbs that run the service: run, serve, worker, sandbox, db."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tracker_service.settings import Settings

_SANDBOX_BIND = "127.0.0.1:8099"


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the settings, and print an error that the user can mend as one line."""

    @wraps(function)
    def run(**more: object) -> None:
        from tracker_service.cli import running  # noqa: PLC0415

        config: Path | None = click.get_current_context().obj
        with running.errors_in_one_line():
            function(running.load_settings(config), **more)

    return run


@click.command()
@click.option("--sandbox", "with_sandbox", is_flag=True, help="Start a stand-in cluster as well.")
@with_settings
def run(chosen: Settings, with_sandbox: bool) -> None:
    """Run the whole service: the API and one worker; with --sandbox, also a stand-in cluster.

    \b
    Example:
      tracker run --sandbox
    """
    from tracker_service.cli import running  # noqa: PLC0415

    running.run_all(chosen, with_sandbox)


@click.command()
@with_settings
def serve(chosen: Settings) -> None:
    """Serve the API alone, with gunicorn.

    \b
    Example:
      TRACKER_SERVE__BIND=0.0.0.0:8080 tracker serve
    """
    from tracker_service.cli import running  # noqa: PLC0415

    running.serve(chosen)


@click.command()
@click.option("--only", is_flag=True, hidden=True)  # of the state directory: set by `tracker run`
@with_settings
def worker(chosen: Settings, only: bool) -> None:
    """Poll jobs and save logs, until stopped.

    \b
    Example:
      tracker worker
    """
    from tracker_service.cli import running  # noqa: PLC0415

    running.run_worker(chosen, is_only=only)


@click.command()
@click.option("--bind", default=_SANDBOX_BIND, show_default=True, metavar="HOST:PORT")
@with_settings
def sandbox(_: Settings, bind: str) -> None:
    """Run a stand-in cluster: Knox, Oozie, YARN and HDFS in one process.

    \b
    Example:
      tracker sandbox --bind 127.0.0.1:8099
    """
    from tracker_service.cli import running  # noqa: PLC0415

    running.run_sandbox(bind)


@click.group("db")
def database() -> None:
    """Manage the database."""


@database.command()
@with_settings
def upgrade(chosen: Settings) -> None:
    """Upgrade the schema to this version; `tracker run` does this by itself.

    \b
    Example:
      TRACKER_STORE__URL=sqlite:////var/lib/tracker/tracker.db tracker db upgrade
    """
    from tracker_service.cli import running  # noqa: PLC0415

    running.upgrade(chosen)
    click.echo("the schema is up to date")


COMMANDS: tuple[click.Command, ...] = (run, serve, worker, sandbox, database)
