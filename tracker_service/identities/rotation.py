"""Replace the key that encrypts credentials, while the service runs."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.fernet import Fernet

from tracker_service.identities.keys import KeyRing
from tracker_service.store import checks, credentials, subscriptions
from tracker_service.store.database import Store


def rotate_keys(store: Store, key_file: Path, *, forget_old: bool) -> int:
    """Put a new key first in the file, and encrypt every stored secret with it.

    After a crash in between, the file still has a key for every credential. Running processes read
    the file again when it has changed.

    Args:
        forget_old: remove the older keys when nothing is encrypted with them any more.

    Returns:
        how many credentials, subscriptions and checks were encrypted anew.

    Raises:
        ConfigError: the file cannot be used, or a credential was encrypted with a key that is gone.
    """
    KeyRing(key_file)  # it can be used
    new = Fernet.generate_key()
    _write(key_file, [new, *key_file.read_bytes().split()])
    count = _encrypt_anew(store, KeyRing(key_file))
    if forget_old:
        _encrypt_anew(store, KeyRing(key_file))  # credentials that other processes kept meanwhile
        _write(key_file, [new])
    return count


def _encrypt_anew(store: Store, keys: KeyRing) -> int:
    with store.read() as connection:
        kept = credentials.all_encrypted(connection)
        sealed = subscriptions.all_sealed(connection)
        of_checks = checks.all_sealed(connection)
    for owner, encrypted in kept:
        new = keys.encrypt(*keys.decrypt(encrypted))
        store.write(partial(credentials.replace_encrypted, owner=owner, old=encrypted, new=new))
    for task_id, text in sealed:
        again = keys.encrypt(*keys.decrypt(text.encode())).decode()
        store.write(partial(subscriptions.replace_sealed, task_id=task_id, old=text, new=again))
    for task_id, text in of_checks:
        again = keys.encrypt(*keys.decrypt(text.encode())).decode()
        store.write(partial(checks.replace_sealed, task_id=task_id, old=text, new=again))
    return len(kept) + len(sealed) + len(of_checks)


def _write(key_file: Path, keys: list[bytes]) -> None:
    """Replace the file in one step; only its owner may read it."""
    with NamedTemporaryFile(dir=key_file.parent, delete=False) as new:  # 0600 from the start
        new.write(b"".join(key + b"\n" for key in keys))
        new.flush()
        os.fsync(new.fileno())
    os.replace(new.name, key_file)
