"""Find the lines of a block that contain words of the rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracker_service.regex import Match, Pattern

_NEAR = 256  #: bytes

Search = Callable[[bytes, int, int], Match | None]


class LineFinder:
    """Finds lines by words, as long as it is asked for later and later ones of one block.

    Args:
        search: returns the next of the words between two places of a block.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
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
        found = self._search(text, pos, endpos)
        self._last = found[0] if found else b""
        return found.start() if found else -1


class Marks:
    """Searches for each mark by itself: finds less than a search for all words, far faster."""

    def __init__(self, marks: Sequence[Pattern]) -> None:
        self._marks = marks
        self._found: list[Match | None] = [None] * len(marks)
        self._at = [-1] * len(marks)  #: where they begin

    def search(self, text: bytes, pos: int, endpos: int) -> Match | None:
        """Return the next mark between two places of a block, each later than the ones before."""
        for number, at in enumerate(self._at):
            if at < pos:
                found = self._marks[number].search(text, pos, endpos)
                self._found[number] = found
                self._at[number] = found.start() if found else endpos
        first = min(range(len(self._at)), key=self._at.__getitem__, default=-1)
        return self._found[first] if first >= 0 else None
