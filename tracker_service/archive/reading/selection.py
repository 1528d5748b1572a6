"""Select parts of a saved log: sections, then lines in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tracker_service.archive.reading.lines import Reading, Stretch, between, last_lines, whole
from tracker_service.archive.reading.saved_log import SavedLog
from tracker_service.archive.reading.sections import OpenSection, open_sections
from tracker_service.errors import LogNotSaved
from tracker_service.yarn_log.grammar import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What of a log is wanted; lines are counted over all that is chosen."""

    container: str | None = None
    file: str | None = None
    tail: int | None = None
    first: int | None = None  #: number of a line, from 1
    lines: int | None = None  #: how many
    by_file: bool = False  #: contents of files without what stands between them

    @property
    def is_by_file(self) -> bool:
        """Whether what stands between the contents of files is left out."""
        return self.by_file or self.container is not None or self.file is not None

    def has(self, section: Section) -> bool:
        """Tell whether a section is wanted."""
        return self.container in (None, section.container) and self.file in (None, section.file)


def read(log: SavedLog, choice: Selection) -> Reading:
    """Yield what is chosen of a log.

    Raises:
        LogNotSaved: no section of the log is chosen: with the first piece.
    """
    if choice.tail is not None:
        yield from last_lines(log, _last_stretches(log, choice, choice.tail), choice.tail)
        return
    pieces = _contents(log, choice) if choice.is_by_file else whole(log)
    if choice.first is None and choice.lines is None:
        yield from pieces
    else:
        yield from between(pieces, choice.first or 1, choice.lines)


def _last_stretches(log: SavedLog, choice: Selection, most: int) -> Iterable[Stretch]:
    """Return the last of the stretches that are not empty, the last one first."""
    if not choice.is_by_file:
        return [Stretch(0)]
    stretches: deque[Stretch] = deque(maxlen=most)
    for opened in _chosen(log, choice):
        end, _ = opened.pass_over()
        if end > opened.section.offset:
            stretches.append(_stretch(opened.section, end))
    return reversed(stretches)


def _contents(log: SavedLog, choice: Selection) -> Reading:
    """Yield the contents of sections, each at least as one piece, which may be empty."""
    for opened in _chosen(log, choice):
        stretch, is_empty = _stretch(opened.section), True
        for piece in opened.pieces():
            is_empty = False
            yield stretch, piece
        if is_empty:
            yield stretch, b""


def _chosen(log: SavedLog, choice: Selection) -> Iterator[OpenSection]:
    is_empty = True
    for opened in open_sections(log):
        if choice.has(opened.section):
            is_empty = False
            yield opened
    if is_empty:
        raise _no_section(choice)


def _stretch(section: Section, end: int | None = None) -> Stretch:
    return Stretch(section.offset, 1, section.container, section.file, end)


def _no_section(choice: Selection) -> LogNotSaved:
    wanted = (("container", choice.container), ("file", choice.file))
    names = " and ".join(f"{kind} {name}" for kind, name in wanted if name is not None)
    return LogNotSaved(
        f"This log has nothing of {names or 'any container'}: add /files to the address of the log "
        "to see what it has."
    )
