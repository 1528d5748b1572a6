"""Encrypt stored credentials with the keys of a file, and hash them with a key."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tracker_service.errors import ConfigError


class KeyRing:
    """Encrypts credentials with the first key of a file; older keys in it still decrypt them.

    The file is read again when it has changed (`tracker keys rotate`).
    """

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file
        self._kept = _Keys.of(key_file)

    def encrypt(self, *parts: str) -> bytes:
        """Return the encrypted parts of a credential."""
        return self._keys.fernet.encrypt(json.dumps(parts).encode())

    def decrypt(self, encrypted: bytes) -> tuple[str, ...]:
        """Return the parts of a credential.

        Raises:
            ConfigError: it was encrypted with another key.
        """
        try:
            return tuple(json.loads(self._keys.fernet.decrypt(encrypted)))
        except InvalidToken as error:
            raise ConfigError("a stored credential was encrypted with another key") from error

    def fingerprint(self, *parts: str) -> str:
        """Return a keyed hash of a credential (HMAC-SHA-256), in hexadecimal."""
        return hmac.new(self._keys.pepper, json.dumps(parts).encode(), hashlib.sha256).hexdigest()

    def token_fingerprints(self, token: str) -> list[str]:
        """Return the keyed hashes of a token, one for each key; a new token gets the first.

        Tokens stand in the configurations of jobs, so they must outlive a change of keys.
        """
        return [
            hmac.new(pepper, token.encode(), hashlib.sha256).hexdigest()
            for pepper in self._keys.token_peppers
        ]

    @property
    def _keys(self) -> _Keys:
        with suppress(OSError):  # without the file, the keys that were read go on
            if _version(self._key_file) != self._kept.version:
                self._kept = _Keys.of(self._key_file)
        return self._kept


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of a file, ready for use."""

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
    """Write a new key in one step; of several processes that try at once, one wins."""
    key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with NamedTemporaryFile(dir=key_file.parent) as new:  # 0600 from the start
        new.write(Fernet.generate_key() + b"\n")
        new.flush()
        os.fsync(new.fileno())
        with suppress(FileExistsError):
            os.link(new.name, key_file)
