"""Send parts of one saved log: by file, by line, or by a search, as text or as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from flask import Response

from tracker_service.api import log_answers
from tracker_service.api.read_budgets import SPENT, finding_the_first_byte, in_turns, limited
from tracker_service.api.schemas.queries import LogQuery
from tracker_service.archive.reading.grep import Grep, GrepLine, Search, search_for
from tracker_service.archive.reading.lines import LogLine, Pieces, as_lines
from tracker_service.archive.reading.saved_log import SavedLog
from tracker_service.archive.reading.selection import Selection, read
from tracker_service.domain.work_budget import WorkBudget
from tracker_service.errors import BadInput

_AT_ONCE = 100  #: lines; they take half a millisecond
_LIMIT = 1000  #: the most lines that a search returns, where the query names no limit


def answer(log: SavedLog, query: LogQuery) -> Response:
    """Answer with the part of a log that a query selects.

    Without any parameter, that is the whole log, or a range of its bytes.

    Raises:
        BadInput: the parameters contradict each other, `grep` is not a pattern of RE2, or to find
            the place takes more work than it may.
        LogNotSaved: the log has no such file.
    """
    _check(query)
    answered = _selected(log, query)
    answered.call_on_close(log.close)
    return answered


def _selected(log: SavedLog, query: LogQuery) -> Response:
    if not query.model_dump(exclude_defaults=True):
        return log_answers.whole(log)
    search = _search(query)
    selection = Selection(
        container=query.container,
        file=query.file,
        tail=query.tail,
        first=query.first,
        lines=query.lines,
        by_file=query.format == "json" or search is not None,
    )
    log = limited(log, is_search=search is not None)
    with finding_the_first_byte():
        pieces = log_answers.Prefetched(read(log, selection))
    if search is not None:
        return _searched(Grep(search, log.budget), pieces, query)
    if query.format == "json":
        return log_answers.streamed(in_turns(_json(pieces, log.budget)), log_answers.JSON_LINES)
    is_one_file = query.container is not None and query.file is not None
    text = _text(pieces, is_titled=selection.is_by_file and not is_one_file)
    return log_answers.streamed(in_turns(text), log_answers.TEXT)


def _check(query: LogQuery) -> None:
    if query.seen:
        raise BadInput("seen belongs to live=true; for the bytes of a saved log send Range.")
    if query.tail is not None and (query.first is not None or query.lines is not None):
        raise BadInput("tail counts from the end, from and lines from the beginning: send either.")


def _search(query: LogQuery) -> Search | None:
    if query.grep is not None or query.level is not None:
        return search_for(query.grep, query.level, query.context or 0, query.limit or _LIMIT)
    if query.context is not None or query.limit is not None:
        raise BadInput("context and limit belong to a search: send grep or level too.")
    return None


def _text(pieces: Pieces, *, is_titled: bool) -> Iterator[bytes]:
    """Yield pieces of a log as they are; with `is_titled`, a line before each file names it."""
    current, last, position = None, b"\n", 0
    try:
        for stretch, piece in pieces:
            if is_titled and stretch != current:
                separator = b"" if last.endswith(b"\n") else b"\n"
                yield separator + f"==> {stretch.container}/{stretch.file} <==\n".encode()
            position = len(piece) + (position if stretch == current else stretch.offset)
            current, last = stretch, piece or last
            yield piece
    except SPENT as error:
        yield f"\n-- The reading stopped at byte {position}: {error}.\n".encode()


def _searched(grep: Grep, pieces: Pieces, query: LogQuery) -> Response:
    if query.format == "json":
        return log_answers.streamed(in_turns(_json_found(grep, pieces)), log_answers.JSON_LINES)
    return log_answers.streamed(in_turns(_text_found(grep, pieces)), log_answers.TEXT)


def _text_found(grep: Grep, pieces: Pieces) -> Iterator[bytes]:
    """Yield lines as grep prints them: `:` follows the number of a match, `-` that of context."""
    block = 1
    for found in grep.of(pieces):
        lines = []
        for line in found:
            if line.block != block:
                lines.append(b"--\n")
                block = line.block
            lines.append(_numbered(line))
        yield b"".join(lines)
    if stopped := grep.stopped:
        yield f"--\n-- The search stopped at byte {stopped.offset}: {stopped.reason}.\n".encode()
    elif grep.has_more:
        yield b"--\n-- There is more: these are the first %d lines that are found.\n" % grep.hits


def _numbered(found: GrepLine) -> bytes:
    line, mark = found.line, b":" if found.is_hit else b"-"
    place = f"@{line.offset}" if line.number is None else str(line.number)
    name = f"{line.stretch.container}/{line.stretch.file}".encode()
    return b"".join((name, mark, place.encode(), mark, line.text, b"\n"))


def _json_found(grep: Grep, pieces: Pieces) -> Iterator[bytes]:
    for found in grep.of(pieces):
        yield b"".join(_object(line.line, hit=line.is_hit, block=line.block) for line in found)
    end: dict[str, object] = {"end": True, "hits": grep.hits, "more": grep.has_more}
    if stopped := grep.stopped:
        end |= {"stopped_at": stopped.offset, "reason": stopped.reason}
    yield json.dumps(end).encode() + b"\n"


def _json(pieces: Pieces, budget: WorkBudget) -> Iterator[bytes]:
    end: dict[str, object] = {"end": True}
    position = 0
    try:
        for lines in as_lines(pieces):
            yield b"".join(_objects(lines, budget))
            if lines:
                position = lines[-1].offset + len(lines[-1].text)
    except SPENT as error:
        end |= {"stopped_at": position, "reason": str(error)}
    yield json.dumps(end).encode() + b"\n"


def _objects(lines: Sequence[LogLine], budget: WorkBudget) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        if number % _AT_ONCE == 0:
            budget.go_on()
        yield _object(line)


def _object(line: LogLine, **more: object) -> bytes:
    values = {
        "container": line.stretch.container,
        "file": line.stretch.file,
        "line": line.number,
        "offset": line.offset,
        "length": len(line.text),
        "text": line.text.decode("utf-8", "replace"),
        **more,
    }
    return json.dumps(values).encode() + b"\n"
