"""Count bytes and compute their SHA-256 as they stream by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator


class Checksum:
    """The length and the SHA-256 of the bytes that have passed."""

    def __init__(self) -> None:
        self.length = 0  #: in bytes
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Return the digest in hexadecimal."""
        return self._digest.hexdigest()

    def of(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces as they come, and measure them."""
        for piece in pieces:
            self.length += len(piece)
            self._digest.update(piece)
            yield piece
