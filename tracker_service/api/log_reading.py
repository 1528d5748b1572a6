"""Answer with what a client chooses of one saved log, as text or as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from flask import Response

from tracker_service.api import log_answers
from tracker_service.api.inputs import LogQuery
from tracker_service.archive.lines import Pieces
from tracker_service.archive.reading import Choice, Line, as_lines, as_text, read
from tracker_service.archive.saved_log import SavedLog
from tracker_service.errors import BadInput


def answer(log: SavedLog, query: LogQuery) -> Response:
    """Return what is chosen of a log; all of it, or a range of its bytes, where nothing is.

    Raises:
        BadInput: parameters that do not go together, or no pattern of RE2.
        LogNotSaved: the log has no such file.
    """
    _check(query)
    if not query.model_dump(exclude_defaults=True):
        return log_answers.whole(log)
    choice = Choice(
        container=query.container,
        file=query.file,
        tail=query.tail,
        first=query.first,
        lines=query.lines,
        by_file=query.format == "json",
    )
    pieces = read(log, choice)
    if query.format == "json":
        return log_answers.streamed(_json(pieces), log_answers.JSON_LINES)
    is_one_file = query.container is not None and query.file is not None
    text = as_text(pieces, is_titled=choice.is_by_file and not is_one_file)
    return log_answers.streamed(text, log_answers.TEXT)


def _check(query: LogQuery) -> None:
    if query.tail is not None and (query.first is not None or query.lines is not None):
        raise BadInput("tail counts from the end, from and lines from the beginning: send either.")


def _json(pieces: Pieces) -> Iterator[bytes]:
    for lines in as_lines(pieces):
        yield b"".join(_object(line) for line in lines)
    yield b'{"end": true}\n'


def _object(line: Line) -> bytes:
    told = {
        "container": line.stretch.container,
        "file": line.stretch.file,
        "line": line.number,
        "offset": line.offset,
        "length": len(line.text),
        "text": line.text.decode("utf-8", "replace"),
    }
    return json.dumps(told).encode() + b"\n"
