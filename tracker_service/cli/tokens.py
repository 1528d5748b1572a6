"""The verbs that look after the tokens with which Oozie notifies a service."""

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
    """Look after the tokens with which Oozie tells of changes.

    A job that is submitted with the property that `create` prints is looked at as soon as it
    changes, instead of at the next round. A token is no right: who has it can but hasten the looks
    at jobs that you track.

    \b
    Example:
      tracker notify-token create >> job.properties
    """


@notify_token.command()
@output_option
@with_tracker
def create(tracker: TrackerClient, output: str) -> None:
    """Make a token, and print what to set in the properties of jobs.

    It is shown this once only.

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
    """List your tokens, without what is secret of them.

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
    """Revoke tokens, each named as `list` shows it.

    Notifications with it are refused from now on; the jobs are asked about as usual.

    \b
    Example:
      tracker notify-token revoke 3f9a01c2d4e5
    """
    for token_id in tokens:
        tracker.revoke_notify_token(token_id)
        click.echo(f"{tables.plain(token_id)} is revoked")
