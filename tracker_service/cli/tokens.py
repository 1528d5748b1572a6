"""The verbs for notification tokens: create, list, revoke."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tracker_service.cli import tables
from tracker_service.cli.options import output_option, with_tracker

if TYPE_CHECKING:
    from tracker_service.client import TrackerClient


@click.group("notify-token")
def notify_token() -> None:
    """Manage the tokens of Oozie's notifications.

    Submit a job with the property that `create` prints: Oozie then notifies the tracker, which
    checks the job at once and not at the next round. A token gives no access. It only makes the
    tracker check your own jobs sooner.

    \b
    Example:
      tracker notify-token create >> job.properties
    """


@notify_token.command()
@output_option
@with_tracker
def create(tracker: TrackerClient, output: str) -> None:
    """Create a token, and print the properties for your jobs.

    The token is not shown again.

    \b
    Example:
      tracker notify-token create >> job.properties
      oozie job -run -config job.properties | tracker track -
    """
    new = tracker.new_notify_token()
    if output == "json":
        tables.show_json(new.raw)
        return
    for name, value in new.properties.items():
        click.echo(f"{name}={value}")
    click.echo(f"made the token {new.id}; it is not shown again", err=True)


@notify_token.command("list")
@output_option
@with_tracker
def list_tokens(tracker: TrackerClient, output: str) -> None:
    """List your tokens, without their secret part.

    \b
    Example:
      tracker notify-token list
    """
    known = tracker.notify_tokens()
    if output == "json":
        tables.show_json([token.raw for token in known])
    else:
        click.echo(tables.notify_tokens(known))


@notify_token.command()
@click.argument("tokens", nargs=-1, required=True, metavar="TOKEN...")
@with_tracker
def revoke(tracker: TrackerClient, tokens: Sequence[str]) -> None:
    """Revoke tokens, by the names that `list` shows.

    Notifications with a revoked token are refused. The tracker still checks the jobs as usual.

    \b
    Example:
      tracker notify-token revoke 3f9a01c2d4e5
    """
    for token_id in tokens:
        tracker.revoke_notify_token(token_id)
        click.echo(f"{tables.plain(token_id)} is revoked")
