"""Put `***` in place of the secrets in a log, on its way into a copy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from tracker_service.redaction.secrets import Secrets

_HIDDEN = b"***"
_BLOCK_BYTES = 128 * 1024  #: looked at in one go; a log is cut there, however its pieces come
_HELD_BYTES = 4 * 1024  #: not written before the next block is there: a secret may begin in them
#: What goes on of a secret that is longer than what was looked at.
_REST = re.compile(rb"[^\s\"'<>&;,]*")


class Redaction:
    """Hides the secrets in the logs of one copy, and counts them."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self.counts: Counter[str] = Counter()  #: by the names of what was hidden

    def of(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the content of one log without its secrets, about a block behind what came.

        What is written depends on the bytes only, and not on the pieces in which they come.
        """
        log = _Log(self._secrets, self.counts)
        for block, is_last in _blocks(content):
            if written := log.hide(block, is_last):
                yield written


def hidden(secrets: Secrets, text: str) -> str:
    """Return a short text without its secrets."""
    return b"".join(Redaction(secrets).of([text.encode("utf-8", "replace")])).decode(
        "utf-8", "replace"
    )


class _Log:
    """One log while it passes."""

    def __init__(self, secrets: Secrets, counts: Counter[str]) -> None:
        self._secrets, self._counts = secrets, counts
        self._held, self._at = b"", 0  # of what is held, one byte is written: `\b` looks at it
        self._goes_on = False  # the last secret was not at its end yet

    def hide(self, block: bytes, is_last: bool) -> bytes:
        """Return what can be written with one more block, without secrets."""
        text, at = self._held + block, self._at
        if self._goes_on and (rest := _REST.match(text, at)):
            at = rest.end()
        limit = len(text) if is_last else max(len(text) - _HELD_BYTES, at)
        parts: list[bytes] = []
        while (found := self._secrets.find(text, at)) and found.start < limit:
            if found.is_open and not is_last:
                limit = found.start
                break
            parts.append(text[at : found.begin])
            if found.begin < found.end:
                parts.append(_HIDDEN)
                self._counts[found.name] += 1
            at = found.end
        parts.append(text[at:limit])
        self._keep(text, max(at, limit))
        return b"".join(parts)

    def _keep(self, text: bytes, done: int) -> None:
        keep = max(done - 1, 0)
        self._held, self._at = text[keep:], done - keep
        self._goes_on = done == len(text)


def _blocks(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the bytes of some pieces in blocks of one length, and the rest as the last."""
    held: list[bytes] = []
    missing = _BLOCK_BYTES
    for piece in pieces:
        at = missing
        while at <= len(piece):
            yield b"".join((*held, piece[at - missing : at])), False
            held, missing = [], _BLOCK_BYTES
            at += missing
        begin = at - missing
        held.append(piece[begin:])
        missing -= len(piece) - begin
    yield b"".join(held), True
