"""Find the lines of a block that have words which may tell something."""

from __future__ import annotations

from collections.abc import Sequence

from tracker_service.archive.patterns import Match, Pattern

_NEAR = 256  #: bytes


class Finder:
    """Finds lines by words, as long as it is asked for later and later ones of one block."""

    def __init__(self) -> None:
        self._last = b""  #: word that was found

    def find(self, text: bytes, pos: int, endpos: int) -> int:
        """Return where a word is in the next line that has one, -1 if there is none.

        Args:
            text: the block.
            pos: where a line begins.
            endpos: up to where lines are looked for.
        """
        if self._last:  # of many errors, most have the same word: it is found at less cost
            line_end = text.find(b"\n", pos, min(pos + _NEAR, endpos))
            near = text.find(self._last, pos, max(line_end, pos))
            if near >= 0:
                return near
        at, self._last = self._next(text, pos, endpos)
        return at

    def _next(self, text: bytes, pos: int, endpos: int) -> tuple[int, bytes]:
        raise NotImplementedError


class Words(Finder):
    """Finds whatever may tell something."""

    def __init__(self, words: Pattern) -> None:
        super().__init__()
        self._words = words

    def _next(self, text: bytes, pos: int, endpos: int) -> tuple[int, bytes]:
        found = self._words.search(text, pos, endpos)
        return (found.start(), found[0]) if found else (-1, b"")


class Marks(Finder):
    """Finds less at far less cost: each mark is looked for by itself."""

    def __init__(self, marks: Sequence[Pattern]) -> None:
        super().__init__()
        self._marks = marks
        self._found: list[Match | None] = [None] * len(marks)
        self._at = [-1] * len(marks)  #: where each begins

    def _next(self, text: bytes, pos: int, endpos: int) -> tuple[int, bytes]:
        for number, at in enumerate(self._at):
            if at < pos:
                found = self._marks[number].search(text, pos, endpos)
                self._found[number] = found
                self._at[number] = found.start() if found else endpos
        first = min(range(len(self._at)), key=self._at.__getitem__, default=-1)
        nearest = self._found[first] if first >= 0 else None
        return (nearest.start(), nearest[0]) if nearest else (-1, b"")
