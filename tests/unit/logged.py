"""Capture the log lines of the service in the form in which they are written."""

from __future__ import annotations

import io
import json
import logging as standard
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import structlog

from tracker_service import logging


class Logged:
    """All that was written so far."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


@contextmanager
def logged(level: str = "INFO", form: logging.Form = "json") -> Iterator[Logged]:
    """Configure logging for the length of the block."""
    before, root = structlog.get_config(), standard.getLogger()
    handlers, root_level = root.handlers, root.level
    try:
        with redirect_stderr(io.StringIO()) as stream:
            logging.configure(level, form)
            structlog.contextvars.clear_contextvars()  # of a request that nobody read to its end
            yield Logged(stream)
    finally:
        structlog.configure(**before)
        root.handlers = handlers
        root.setLevel(root_level)
