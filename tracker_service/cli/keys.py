"""The verbs that look after the key with which credentials are sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tracker_service.cli.service import with_settings

if TYPE_CHECKING:
    from tracker_service.settings import Settings


@click.group("keys")
def keys() -> None:
    """Look after the key with which stored credentials are sealed."""


@keys.command()
@click.option(
    "--forget-old",
    is_flag=True,
    help="Remove the older keys too: notification tokens that were made with them end.",
)
@with_settings
def rotate(chosen: Settings, forget_old: bool) -> None:
    """Make a new key, and seal every stored credential anew with it.

    The service goes on meanwhile. Older keys stay in the file, because the tokens with which Oozie
    notifies are known by them.

    \b
    Example:
      tracker keys rotate
    """
    from tracker_service.store.engine import Store  # noqa: PLC0415
    from tracker_service.store.rotation import rotate_keys  # noqa: PLC0415

    store = Store(chosen.store_url)
    try:
        sealed = rotate_keys(store, chosen.key_file, forget_old=forget_old)
    finally:
        store.close()
    click.echo(f"{chosen.key_file} has a new key; {sealed} stored credentials are sealed with it")
