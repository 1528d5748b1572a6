"""The verb `login`, which gives the service a fresh credential."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tracker_service.cli import tables
from tracker_service.cli.options import output_option, with_tracker

if TYPE_CHECKING:
    from tracker_service.client import TrackerClient


@click.command("login")
@output_option
@with_tracker
def give_credential(tracker: TrackerClient, output: str) -> None:
    """Give the tracker a fresh credential, for example after you changed your password.

    Your jobs that show waiting-for-credentials go on at once.

    \b
    Example:
      tracker login
    """
    answer = tracker.login()
    if output == "json":
        tables.show_json(answer.raw)
    elif not answer.kept:
        click.echo(f"{answer.user} has no job that needs a credential: nothing is kept")
    else:
        click.echo(f"the credential of {answer.user} is kept; {answer.released} jobs go on")
