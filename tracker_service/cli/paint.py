"""Colour logs for a terminal, and replace the control characters in them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator

import click

from tracker_service.domain.log_levels import LogLevel, spellings_from

_LONGEST_LINE = 64 * 1024  #: bytes; a longer line is split
_TITLE = re.compile(r"Container: |Log ?Type:|==> ")
_FRAME = re.compile(
    r"LogAggregationType:|Log ?(?:Last ?Modified|Upload) ?Time:|Log ?Length:|Log ?Contents:"
    r"|End of LogType:|={20,}$|\*{20,}$"
)
_BAD = re.compile(
    rf"\b({spellings_from(LogLevel.ERROR)})\b|^Traceback |^Caused by: |\w(Error|Exception)\b"
)
_DOUBTFUL = re.compile(rf"\b({spellings_from(LogLevel.WARN)})\b")


def wants_colour() -> bool:
    """Tell whether standard output is a terminal and `NO_COLOR` is unset; see no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def is_on_terminal() -> bool:
    """Tell whether a person sees standard output, with colours or without."""
    return sys.stdout.isatty()


def painted(pieces: Iterable[bytes], *, in_colour: bool) -> Iterator[bytes]:
    """Replace what controls a terminal, and colour titles, errors and warnings of a log.

    Yields lines as they arrive.
    """
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        if len(held) > _LONGEST_LINE:
            whole, held = [*whole, held], b""
        if whole:
            yield b"".join(_line(line, in_colour) + b"\n" for line in whole)
    if held:
        yield _line(held, in_colour)


def _line(line: bytes, in_colour: bool) -> bytes:
    wide = line.decode("utf-8", "replace").removesuffix("\r")
    text = "".join(char if char.isprintable() or char == "\t" else "?" for char in wide)
    if not in_colour:
        return text.encode() + b"\r" * line.endswith(b"\r")
    if _TITLE.match(text):
        text = click.style(text, fg="cyan", bold=True)
    elif _FRAME.match(text):
        text = click.style(text, dim=True)
    elif _BAD.search(text):
        text = click.style(text, fg="red")
    elif _DOUBTFUL.search(text):
        text = click.style(text, fg="yellow")
    return text.encode()
