"""The commands for the keys that encrypt stored credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tracker_service.cli.service import with_settings

if TYPE_CHECKING:
    from tracker_service.settings import Settings


@click.group("keys")
def keys() -> None:
    """Manage the keys that encrypt stored credentials."""


@keys.command()
@click.option(
    "--forget-old",
    is_flag=True,
    help="Remove the older keys too: notification tokens that were made with them end.",
)
@with_settings
def rotate(chosen: Settings, forget_old: bool) -> None:
    """Make a new key, and encrypt every stored credential with it.

    The service keeps running. Older keys stay in the file, because notification tokens were
    hashed with them.

    \b
    Example:
      tracker keys rotate
    """
    from tracker_service.identities.rotation import rotate_keys  # noqa: PLC0415
    from tracker_service.store.database import Store  # noqa: PLC0415

    store = Store(chosen.store_url)
    try:
        count = rotate_keys(store, chosen.key_file, forget_old=forget_old)
    finally:
        store.close()
    click.echo(f"{chosen.key_file} has a new key; it encrypts {count} stored credentials")
