"""Count and fingerprint bytes on their way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator


class Tally:
    """The length and the SHA-256 of what has passed."""

    def __init__(self) -> None:
        self.length = 0  #: in bytes
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Return the digest in hexadecimal."""
        return self._digest.hexdigest()

    def of(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces as they come, and count them."""
        for piece in pieces:
            self.length += len(piece)
            self._digest.update(piece)
            yield piece
