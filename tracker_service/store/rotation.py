"""Change the key with which credentials are sealed, while others use them."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.fernet import Fernet
from sqlalchemy import select, update

from tracker_service.store.credentials import Seal
from tracker_service.store.engine import Store
from tracker_service.store.tables import credentials


def rotate_keys(store: Store, key_file: Path, *, forget_old: bool) -> int:
    """Put a new key before the others, and seal each stored credential with it.

    A crash in between leaves credentials that some key of the file opens. Processes that run read
    the file again when they come upon a credential that their keys do not open.

    Args:
        forget_old: remove the older keys when nothing is sealed with them any more.

    Returns:
        how many credentials were sealed anew.

    Raises:
        ConfigError: the file cannot be used, or a credential was sealed with a key that is gone.
    """
    Seal(key_file)  # it can be used
    new = Fernet.generate_key()
    _write(key_file, [new, *key_file.read_bytes().split()])
    sealed = _sealed_anew(store, Seal(key_file))
    if forget_old:
        _sealed_anew(store, Seal(key_file))  # what others have kept meanwhile
        _write(key_file, [new])
    return sealed


def _sealed_anew(store: Store, seal: Seal) -> int:
    with store.read() as connection:
        kept = connection.execute(select(credentials.c.owner, credentials.c.sealed)).all()
    for owner, sealed in kept:
        with store.begin() as connection:
            connection.execute(
                update(credentials)
                # One that has come meanwhile was sealed with a key that is in the file as well.
                .where(credentials.c.owner == owner, credentials.c.sealed == sealed)
                .values(sealed=seal.close(*seal.open(sealed)))
            )
    return len(kept)


def _write(key_file: Path, keys: list[bytes]) -> None:
    """Replace the file in one step; only its owner may read it."""
    with NamedTemporaryFile(dir=key_file.parent, delete=False) as new:  # 0600 from the start
        new.write(b"".join(key + b"\n" for key in keys))
        new.flush()
        os.fsync(new.fileno())
    os.replace(new.name, key_file)
