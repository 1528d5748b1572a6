"""Log one event a line, without secrets, as text for people or as JSON for programs."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Form = Literal["console", "json", "bunyan"]

HIDDEN = "***"
_SECRETS = "password|passwd|passcode|secret|token|delegation|authorization|cookie|jwt|sessionid"
_SECRET_NAME = re.compile(_SECRETS, re.IGNORECASE)
_MARKS = re.compile(r"[@=: ]|/notify/|/mute/")  #: a text without any of these has no secret
#: Patterns of secrets, each with the groups that are kept.
_IN_TEXT = (
    # the token of a notification, or of a link in a message
    (re.compile(r"(/(?:notify|mute)/+)(?!<)[^/\s?&;,\"']+"), r"\1"),
    (re.compile(r"(://)[^/\s\"']+(?=@)"), r"\1"),  # the user and password of a URL
    (re.compile(r"\b((?:basic|bearer|negotiate) +)[\w+/=.~-]+", re.IGNORECASE), r"\1"),
    (
        # a header, a parameter of a URL, an item of a dict: `token=…`, `'Cookie': '…'`
        re.compile(
            rf"([\w.-]*(?:{_SECRETS})[\w.-]*[\"']?\s*[=:]\s*[\"']?)"
            r"(?!(?:basic|bearer|negotiate) )[^\s&;,\"']+",
            re.IGNORECASE,
        ),
        r"\1",
    ),
)


def configure(level: str = "INFO", form: Form = "console") -> None:
    """Write all events of this process and of its libraries to standard error."""
    steps = processors(form)
    structlog.configure(
        processors=steps,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *steps],
        )
    )
    # Below WARNING, libraries log little of use, and HdfsCLI logs paths and URLs.
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


def processors(form: Form) -> list[Processor]:
    """Return the steps that turn an event into a line with its time (UTC), level and ids.

    See https://www.structlog.org/en/stable/processors.html
    """
    renderers: dict[Form, Processor] = {
        "json": structlog.processors.JSONRenderer(),
        "bunyan": bunyan_line,
        "console": structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
    }
    escapes: list[Processor] = [escape_odd] if form == "console" else []  # JSON has escapes
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        hide_secrets,  # after `format_exc_info`, so that it also sees the traceback
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *escapes,
        renderers[form],
    ]


def escape_odd(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Write what a terminal obeys or nobody sees as Python does: `\\x1b`, `\\u2028`."""
    return {
        name: "".join(map(_seen, str(value))) if _has_odd(value) else value
        for name, value in event.items()
    }


def _has_odd(value: object) -> bool:
    return not isinstance(value, bool | int | float | None) and not str(value).isprintable()


def _seen(char: str) -> str:
    return char if char.isprintable() or char == "\n" else ascii(char)[1:-1]


_BUNYAN_LEVELS = {"debug": 20, "info": 30, "warning": 40, "error": 50, "critical": 60}


def bunyan_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return an event as a line of Bunyan, which its command `bunyan` reads.

    See https://github.com/trentm/node-bunyan#core-fields
    """
    rest: dict[str, Any] = dict(event)
    line = {
        "name": "teraslice_exporter",
        "hostname": socket.gethostname(),
        "pid": os.getpid(),
        "level": _BUNYAN_LEVELS.get(rest.pop("level"), 30),
        "msg": rest.pop("event"),
        "time": rest.pop("timestamp"),
        "v": 0,
    }
    if trace := rest.pop("exception", None):
        line["err"] = {"stack": trace}
    return json.dumps({**line, **rest, **line}, default=str)  # its fields come first, and win


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace secrets in an event with `***`: by the name of a value, and by its form."""
    return {name: _without_secrets(name, value) for name, value in event.items()}


def _without_secrets(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _names_a_secret(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): _without_secrets(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_secrets("", item) for item in value]
    return without_secrets(str(value))


@lru_cache(maxsize=1000)
def _names_a_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name))


def without_secrets(text: str) -> str:
    """Return a text with `***` in place of each part that looks like a secret."""
    if not _MARKS.search(text):
        return text
    for pattern, kept in _IN_TEXT:
        text = pattern.sub(kept + HIDDEN, text)
    return text
