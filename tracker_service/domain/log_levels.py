"""The levels of log lines, and how different loggers spell them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Literal


class LogLevel(IntEnum):
    """A level, greater for what is graver."""

    TRACE = 1
    DEBUG = 2
    INFO = 3
    WARN = 4
    ERROR = 5
    FATAL = 6


#: The words of log4j, slf4j, java.util.logging and Python.
SPELLINGS: Mapping[str, LogLevel] = MappingProxyType(
    {
        **LogLevel.__members__,
        "WARNING": LogLevel.WARN,
        "SEVERE": LogLevel.ERROR,
        "CRITICAL": LogLevel.FATAL,
    }
)

#: The words by which a caller of the API names a level.
LevelName = Literal["TRACE", "DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"]


def spellings_from(least: LogLevel) -> str:
    """Return the words of a level and of graver ones, as the alternatives of a pattern.

    The longest word comes first: the search for `WARN` would end within `WARNING`.
    """
    words = (word for word, level in SPELLINGS.items() if level >= least)
    return "|".join(sorted(words, key=len, reverse=True))
