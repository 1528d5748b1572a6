"""The verbs for events: who hears of what, and what became of each message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tracker_service.cli import tables
from tracker_service.cli.options import output_option, with_tracker

if TYPE_CHECKING:
    from tracker_service.client import TrackerClient


@click.group()
def notify() -> None:
    """Have the tracker tell you of failed jobs, saved logs and more.

    \b
    Example:
      tracker notify add https://hooks.example.com/my-team --type tracker.job.failed
    """


@notify.command()
@click.argument("to", metavar="URL|ADDRESS")
@click.option(
    "--type", "types", multiple=True, help="Only events of this type; tracker.logs.* for all such."
)
@click.option("--job-name", help="Only jobs of this name, with * and ? as in a shell.")
@click.option("--coordinator", help="Only jobs that this coordinator or bundle has started.")
@click.option("--category", "categories", multiple=True, help="Only failures of this category.")
@click.option("--only-new", is_flag=True, help="Only failures that you had none of for a month.")
@click.option("--quiet", metavar="HH:MM-HH:MM", help="Send nothing at this time of the day.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of --quiet.")
@output_option
@with_tracker
def add(tracker: TrackerClient, to: str, output: str, **wishes: Any) -> None:  # noqa: ANN401
    """Send events to a webhook, or by mail to an address.

    Each request to a webhook is a CloudEvent, signed as Standard Webhooks says. The secret that
    signs it is printed, and not shown again. Mail goes through the mail server of the site.

    \b
    Example:
      tracker notify add https://hooks.example.com/my-team --type tracker.job.failed
      tracker notify add you@example.com --type tracker.job.failed --quiet 22:00-07:00
    """
    new = tracker.subscribe(_sink(to), _wants(**wishes))
    if output == "json":
        tables.show_json(new.raw)
        return
    click.echo(f"subscription {new.id}")
    if new.secret:
        click.echo(f"secret       {new.secret}")
    click.echo(f"try it:      tracker notify test {new.id}", err=True)


def _sink(to: str) -> dict[str, str]:
    is_address = "@" in to and "://" not in to
    return {"type": "mail", "to": to} if is_address else {"type": "webhook", "url": to}


def _wants(
    *,
    types: Sequence[str],
    job_name: str | None,
    coordinator: str | None,
    categories: Sequence[str],
    only_new: bool,
    quiet: str | None,
    zone: str,
) -> dict[str, Any]:
    wants = {
        "types": list(types),
        "job-name": job_name,
        "coordinator": coordinator,
        "categories": list(categories),
        "only-new": only_new,
        "quiet": _quiet(quiet, zone) if quiet else None,
    }
    return {name: value for name, value in wants.items() if value}


def _quiet(text: str, zone: str) -> dict[str, str]:
    begin, dash, end = text.partition("-")
    if not dash:
        raise click.BadParameter("send two times, such as 22:00-07:00", param_hint="--quiet")
    return {"begin": begin, "end": end, "zone": zone}


@notify.command("list")
@output_option
@with_tracker
def list_subscriptions(tracker: TrackerClient, output: str) -> None:
    """List who hears of what.

    \b
    Example:
      tracker notify list
    """
    known = tracker.subscriptions()
    if output == "json":
        tables.show_json([each.raw for each in known])
    else:
        click.echo(tables.subscriptions(known))


@notify.command()
@click.argument("subscriptions", nargs=-1, required=True, metavar="SUBSCRIPTION...")
@with_tracker
def remove(tracker: TrackerClient, subscriptions: Sequence[str]) -> None:
    """Remove subscriptions, by the names that `list` shows.

    \b
    Example:
      tracker notify remove 3f9a01c2d4e5
    """
    for name in subscriptions:
        tracker.unsubscribe(name)
        click.echo(f"{tables.plain(name)} is removed")


@notify.command()
@click.argument("subscription")
@with_tracker
def rotate(tracker: TrackerClient, subscription: str) -> None:
    """Make a new secret for a webhook; requests are signed with it and with the last one.

    Tell it to the receiver, which then may forget the last one.

    \b
    Example:
      tracker notify rotate 3f9a01c2d4e5
    """
    click.echo(f"secret       {tracker.rotate(subscription).secret}")


@notify.command()
@click.argument("subscription")
@with_tracker
def test(tracker: TrackerClient, subscription: str) -> None:
    """Send a test event to a subscription.

    \b
    Example:
      tracker notify test 3f9a01c2d4e5
    """
    event = tracker.test_subscription(subscription)
    click.echo(
        f"event {tables.plain(event)} is on its way; tracker deliveries shows what came of it"
    )


@notify.command()
@click.argument("family")
@click.option("--hours", type=float, default=24.0, show_default=True, help="For how long.")
@click.option("--site", is_flag=True, help="Mute the messages of the site; for admins.")
@with_tracker
def mute(tracker: TrackerClient, family: str, hours: float, site: bool) -> None:
    """Send no message of a family of failures for a while; `tracker failures` shows the families.

    \b
    Example:
      tracker notify mute f14b38a372c0 --hours 8
    """
    until = tracker.mute(family, hours, of_site=site)
    click.echo(f"no message of {tables.plain(family)} until {tables.plain(until)}")


@notify.command()
@click.argument("family")
@click.option("--site", is_flag=True, help="Unmute the messages of the site; for admins.")
@with_tracker
def unmute(tracker: TrackerClient, family: str, site: bool) -> None:
    """Send messages of a family of failures again.

    \b
    Example:
      tracker notify unmute f14b38a372c0
    """
    tracker.unmute(family, of_site=site)
    click.echo(f"messages of {tables.plain(family)} are sent again")


@click.command()
@click.argument("words", nargs=-1, metavar="[replay [ID...]]")
@click.option("--failed", is_flag=True, help="Only those that were given up.")
@click.option("--site", is_flag=True, help="What the site's routes send; for admins and auditors.")
@click.option("--limit", type=int, default=50, show_default=True, help="How many at most.")
@output_option
@with_tracker
def deliveries(
    tracker: TrackerClient,
    *,
    words: Sequence[str],
    failed: bool,
    site: bool,
    limit: int,
    output: str,
) -> None:
    """Show what was sent to you and what became of it, the newest first.

    `replay` sends again what was given up: all of it, or the deliveries with these ids.

    \b
    Example:
      tracker deliveries --failed
      tracker deliveries replay 17 18
    """
    if words:
        count = tracker.replay(_ids(words) or None, of_site=site)
        click.echo(f"{count} deliveries are sent again")
        return
    found = tracker.deliveries(["dead"] if failed else [], limit, of_site=site)
    if output == "json":
        tables.show_json([each.raw for each in found])
    else:
        click.echo(tables.deliveries(found))


def _ids(words: Sequence[str]) -> list[int]:
    verb, *ids = words
    if verb != "replay" or not all(text.isdecimal() for text in ids):
        raise click.UsageError("after `deliveries` comes nothing, or `replay` and ids")
    return list(map(int, ids))
