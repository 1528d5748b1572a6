"""List the files of containers in a saved log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from flask import Response
from pydantic import Field

from tracker_service.api import log_answers
from tracker_service.api.read_budgets import SPENT, finding_the_first_byte, in_turns, limited
from tracker_service.api.schemas.base import Schema
from tracker_service.archive.reading.saved_log import SavedLog
from tracker_service.archive.reading.sections import FoundFile, files


class LogFileAnswer(Schema):
    """One file of a container."""

    container: str
    file: str
    offset: int = Field(description="of its first byte in the log, for the header `Range`")
    length: int = Field(description="in bytes, as it is saved")
    lines: int | None = Field(description="null where the file is so long that nobody counted")


class LogFilesAnswer(Schema):
    """The files in one saved log."""

    path: str = Field(description="of the log in HDFS")
    bytes: int = Field(description="length of the log")
    files: list[LogFileAnswer] = Field(description="in the order of the log")
    stopped_at: int | None = Field(None, description="byte; there if the log has too many files")
    reason: str | None = Field(None, description="why the list ends there")


def answer(log: SavedLog) -> Response:
    """List the files of a log, and send each as soon as it is found: there may be thousands.

    Returns:
        a `LogFilesAnswer`, streamed.
    """
    log = limited(log)
    with finding_the_first_byte():
        found = log_answers.Prefetched(files(log))
    return log_answers.streamed(in_turns(_json(log, found)), "application/json")


def _json(log: SavedLog, found: Iterable[FoundFile]) -> Iterator[bytes]:
    """Yield a `LogFilesAnswer` as JSON."""
    yield f'{{"path": {json.dumps(log.path)}, "bytes": {log.length}, "files": ['.encode()
    separator, position, end = "\n", 0, ""
    try:
        for file in found:
            yield f"{separator}{json.dumps(asdict(file))}".encode()
            separator, position = ",\n", file.offset + file.length
    except SPENT as error:
        end = f', "stopped_at": {position}, "reason": {json.dumps(str(error))}'
    yield f"\n]{end}}}\n".encode()
