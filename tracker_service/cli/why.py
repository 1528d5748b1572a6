"""The verb `why`, which says why a job failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tracker_service.cli import tables
from tracker_service.cli.options import output_option, with_tracker
from tracker_service.client.cause_text import Role, lines

if TYPE_CHECKING:
    from tracker_service.client import TrackerClient

_STYLES: dict[Role, dict[str, Any]] = {
    Role.TITLE: {"bold": True},
    Role.FACT: {},
    Role.PLACE: {"fg": "cyan"},
    Role.QUOTE: {"fg": "red"},
    Role.NOTE: {"fg": "yellow"},
}


@click.command()
@click.argument("job_id", metavar="ID")
@output_option
@with_tracker
def why(tracker: TrackerClient, job_id: str, output: str) -> None:
    """Say why a job failed, show the lines that prove it, and say what you can do.

    While logs are still being saved, the answer may change. The exit code is 1 if the job has not
    failed, or if no cause is found.

    \b
    Example:
      tracker why 0000042-261122041514971-oozie-prod-W
      tracker why --output json 0000042-261122041514971-oozie-prod-W | jq -r .category
    """
    cause = tracker.cause(job_id)
    if output == "json":
        tables.show_json(cause.raw)
        return
    for line in lines(cause.raw, zone=None):  # without a terminal, `echo` removes the colours
        click.echo(click.style(line.text, **_STYLES[line.role]) if line.text else "")


COMMANDS: tuple[click.Command, ...] = (why,)
