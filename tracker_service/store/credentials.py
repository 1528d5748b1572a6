"""Keep credentials sealed for background work, and for a minute who a caller was found to be."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import bindparam, delete, exists, select, update

from tracker_service.domain.tasks import TaskState
from tracker_service.errors import ConfigError
from tracker_service.store.engine import Connection, upsert
from tracker_service.store.tables import credentials, tasks, verdicts

#: Knox says 401 for a wrong password and while its LDAP is down. So a refused credential is tried
#: again, so seldom that no directory locks the user out: the last pause repeats itself.
RETRY_AFTER = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=4),
)


#: So long a credential is known to have been right: then it is not counted as one of the few that
#: somebody may try.
RIGHT_LATELY = timedelta(hours=12)

_VERDICT = select(verdicts.c.owner, verdicts.c.expires_at, verdicts.c.sealed).where(
    verdicts.c.fingerprint == bindparam("fingerprint")
)


class Seal:
    """Encrypts credentials with the first key of a file; older keys in it still open them.

    The file is read again when it has changed (`tracker keys rotate`).
    """

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file
        self._kept = _Keys.of(key_file)

    def close(self, *parts: str) -> bytes:
        """Return the parts of a credential in a form that only the key can read."""
        return self._keys.fernet.encrypt(json.dumps(parts).encode())

    def open(self, sealed: bytes) -> tuple[str, ...]:
        """Return the parts of a credential.

        Raises:
            ConfigError: it was sealed with another key.
        """
        try:
            return tuple(json.loads(self._keys.fernet.decrypt(sealed)))
        except InvalidToken as error:
            raise ConfigError("a stored credential was sealed with another key") from error

    def fingerprint(self, *parts: str) -> str:
        """Return a name for a credential that tells nothing about it."""
        return hmac.new(self._keys.pepper, json.dumps(parts).encode(), hashlib.sha256).hexdigest()

    def token_fingerprints(self, token: str) -> list[str]:
        """Return the names that a token may be kept under; a new one is kept under the first.

        Each key of the file gives one: tokens stand in the configurations of jobs, and outlive the
        change of the first key.
        """
        return [
            hmac.new(pepper, token.encode(), hashlib.sha256).hexdigest()
            for pepper in self._keys.token_peppers
        ]

    @property
    def _keys(self) -> _Keys:
        with suppress(OSError):  # a file that is away leaves what was read
            if _version(self._key_file) != self._kept.version:
                self._kept = _Keys.of(self._key_file)
        return self._kept


@dataclass(frozen=True, slots=True)
class _Keys:
    """What is made of the keys in a file."""

    version: tuple[int, int]  #: of the file
    fernet: MultiFernet
    pepper: bytes
    token_peppers: Sequence[bytes]

    @classmethod
    def of(cls, key_file: Path) -> _Keys:
        keys = _read_or_create(key_file)
        try:
            fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise ConfigError(f"{key_file} holds no Fernet key: {error}") from error
        return cls(
            _version(key_file),
            fernet,
            hashlib.sha256(b"verdicts" + keys[0]).digest(),
            [hashlib.sha256(b"notify tokens" + key).digest() for key in keys],
        )


def _version(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_ino


def _read_or_create(key_file: Path) -> list[bytes]:
    try:
        if not key_file.exists():
            _create(key_file)
        return key_file.read_bytes().split()
    except OSError as error:
        raise ConfigError(f"cannot use the key file: {error}") from error


def _create(key_file: Path) -> None:
    """Write a new key; of several processes that try at once, one wins and no half is seen."""
    key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with NamedTemporaryFile(dir=key_file.parent) as new:  # 0600 from the start
        new.write(Fernet.generate_key() + b"\n")
        new.flush()
        os.fsync(new.fileno())
        with suppress(FileExistsError):
            os.link(new.name, key_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCredential:
    """A user's sealed credential, and whether it may be used now."""

    owner: str
    sealed: bytes
    kept_at: datetime
    refusals: int
    retry_at: datetime | None

    def may_be_used(self, now: datetime) -> bool:
        """Tell whether the gateway has not refused it, or its next try has come."""
        return self.refusals == 0 or (self.retry_at is not None and self.retry_at <= now)


def keep(connection: Connection, owner: str, sealed: bytes, now: datetime) -> None:
    """Keep a fresh credential in place of an older one."""
    fresh = {"owner": owner, "sealed": sealed, "kept_at": now, "refusals": 0, "retry_at": None}
    upsert(connection, credentials, fresh)


def find(connection: Connection, owners: Iterable[str]) -> dict[str, KeptCredential]:
    """Return the credentials of these users that are kept."""
    rows = connection.execute(select(credentials).where(credentials.c.owner.in_(list(owners))))
    return {row.owner: KeptCredential(**row._mapping) for row in rows}


def refuse(connection: Connection, credential: KeptCredential, now: datetime) -> bool:
    """Note that the gateway refused a credential.

    Returns:
        False if a fresh one has come meanwhile, which is unharmed.
    """
    pause = RETRY_AFTER[min(credential.refusals, len(RETRY_AFTER) - 1)]
    changed = connection.execute(
        update(credentials)
        .where(credentials.c.owner == credential.owner)
        .where(credentials.c.kept_at == credential.kept_at)
        .values(refusals=credential.refusals + 1, retry_at=now + pause)
    )
    return changed.rowcount == 1


def renew(
    connection: Connection, credential: KeptCredential, sealed: bytes, now: datetime
) -> KeptCredential | None:
    """Put a renewed credential in the place of one; None if a fresh one has come meanwhile."""
    changed = connection.execute(
        update(credentials)
        .where(credentials.c.owner == credential.owner)
        .where(credentials.c.kept_at == credential.kept_at)
        .values(sealed=sealed, kept_at=now)
    )
    return replace(credential, sealed=sealed, kept_at=now) if changed.rowcount else None


def accept(connection: Connection, credential: KeptCredential) -> None:
    """Note that the gateway takes a credential again."""
    connection.execute(
        update(credentials)
        .where(credentials.c.owner == credential.owner)
        .where(credentials.c.kept_at == credential.kept_at)
        .values(refusals=0, retry_at=None)
    )


def erase_unneeded(connection: Connection, credential: KeptCredential) -> bool:
    """Erase a credential whose user has no live task, unless it was kept anew meanwhile."""
    needed = exists().where(tasks.c.owner == credential.owner, tasks.c.state != TaskState.ENDED)
    erased = connection.execute(
        delete(credentials)
        .where(credentials.c.owner == credential.owner, ~needed)
        .where(credentials.c.kept_at == credential.kept_at)
    )
    return erased.rowcount == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which user a credential was found to be."""

    owner: str
    expires_at: datetime  #: then it is only known to have been right
    sealed: bytes | None = None  #: what it was exchanged for


def keep_verdict(connection: Connection, fingerprint: str, found: Verdict) -> None:
    """Keep which user a credential was found to be."""
    row = {"owner": found.owner, "expires_at": found.expires_at, "sealed": found.sealed}
    upsert(connection, verdicts, {"fingerprint": fingerprint} | row)


def verdict(connection: Connection, fingerprint: str) -> Verdict | None:
    """Return which user a credential was found to be, lately or now."""
    row = connection.execute(_VERDICT, {"fingerprint": fingerprint}).one_or_none()
    return Verdict(**row._mapping) if row else None


def drop_verdict(connection: Connection, fingerprint: str) -> None:
    """Forget that a credential was right."""
    connection.execute(delete(verdicts).where(verdicts.c.fingerprint == fingerprint))


def forget_verdicts(connection: Connection, now: datetime) -> None:
    """Remove the verdicts on what was not right lately, and what others were exchanged for."""
    connection.execute(delete(verdicts).where(verdicts.c.expires_at <= now - RIGHT_LATELY))
    old = verdicts.c.expires_at <= now, verdicts.c.sealed.is_not(None)
    connection.execute(update(verdicts).where(*old).values(sealed=None))
