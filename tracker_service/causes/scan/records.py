"""Read lines as their loggers wrote them: levels, colours, JSON, and where a record begins."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tracker_service.domain.log_levels import SPELLINGS, LogLevel, spellings_from
from tracker_service.regex import compiled

LONGEST_LINE = 4096  #: bytes of a line that are looked at
_LONGEST_SEEN = 64 * 1024  #: bytes of a longer line in which its deepest cause is looked for
_KEPT_HEAD = 300  #: bytes of a longer line that stay before its deepest cause
_CAUSED = b"Caused by: "
_RELAYED = b"Stdoutput "  #: what Oozie puts before each line of a script's output
#: A scan knows errors, warnings, and the rest.
_LEVELS = {
    word.encode(): max(LogLevel.INFO, min(level, LogLevel.ERROR))
    for word, level in SPELLINGS.items()
}
_LEVEL = compiled(
    rf"\b(?P<word>{spellings_from(LogLevel.TRACE)})\b"
    r"|^(?P<go>[IWEF])\d{4} \d\d:\d\d:\d\d\."
    r"|(?:\[|level=\"?)(?P<small>trace|debug|info|warn|warning|error|fatal|critical)\b"
    r"|^(?P<r>Warning)(?: messages?)?:".encode()
)
_GO = {b"I": LogLevel.INFO, b"W": LogLevel.WARN, b"E": LogLevel.ERROR, b"F": LogLevel.ERROR}
_LEVEL_WITHIN = 160  #: bytes
_REPORT = b"iagnostics"  #: of a failed attempt: masters relay it as mere information
_REPORT_WITHIN = 300  #: bytes
_COLOUR = compiled(rb"\x1b\[[0-9;]*[A-Za-z]")
_MORE = compiled(  # what goes on with the record above it
    rb"^(?:\s|Caused by: |\.\.\. |: |[|+}]|$|Driver stacktrace|Suppressed: "
    rb"|Traceback \(most recent|The above exception was|During handling of"
    rb"|[\w.$]+(?:Exception|Error|Throwable)\b|(?:[a-z_]\w*\.)+[A-Z][\w$]*(?:: |$))"
)
_OPEN_END = compiled(rb"(?:Exception|Error|failed)\w*: ?$")
_FRAME = (b"at ", b"... ", b"Caused by", b"Traceback")
_JSON_LEVEL = ("level", "severity", "levelname", "lvl", "log.level")
_JSON_TEXT = ("msg", "message", "event", "error", "err")
_JSON_TRACE = ("stack", "stack_trace", "stacktrace", "exc_info", "exception", "thrown")


def level_of(text: bytes) -> LogLevel | None:
    """Return the level that a line names at its beginning, in the layout of any logger."""
    if _REPORT in text[:_REPORT_WITHIN]:
        return None
    found = _LEVEL.search(text[:_LEVEL_WITHIN])
    if found is None:
        return None
    groups = found.groupdict()
    if groups[b"go"]:
        return _GO[groups[b"go"]]
    word = groups[b"word"] or groups[b"small"] or b"WARNING"
    return _LEVELS.get(word.upper())


def is_more(text: bytes) -> bool:
    """Tell whether a line goes on with the record above it, as the lines of a stack trace do."""
    return bool(_MORE.search(text.removeprefix(_RELAYED)))


def cut(line: bytes) -> bytes:
    """Return what is looked at of a line.

    Of a long one that is its beginning and the deepest cause that it names, which Tez and JSON
    loggers put behind a whole stack trace.
    """
    line = line.rstrip(b"\r")
    if len(line) <= LONGEST_LINE:
        return line
    deepest = line.rfind(_CAUSED, 0, _LONGEST_SEEN)
    if deepest < _KEPT_HEAD:
        return line[:LONGEST_LINE]
    return line[:_KEPT_HEAD] + b" ... " + line[deepest : deepest + LONGEST_LINE - 2 * _KEPT_HEAD]


def words_of(text: bytes, below: Iterable[bytes] = ()) -> bytes:
    """Return the words of a line for the rules: without colours, of JSON its level and message.

    Args:
        below: the next lines; the first one counts where the line ends with the name of an
            exception and a colon.
    """
    if text.startswith((b"{", _RELAYED + b"{")):
        text = _of_json(text.removeprefix(_RELAYED))
    if b"\x1b" in text:
        text = without_colours(text)
    if _OPEN_END.search(text):
        following = next(iter(below), b"").strip()
        if following and not following.startswith(_FRAME) and level_of(following) is None:
            text = text.rstrip() + b" " + following
    return text


def without_colours(text: bytes) -> bytes:
    """Return a line without what sets the colours of a terminal."""
    kept, at = b"", 0
    while found := _COLOUR.search(text, at):
        kept += text[at : found.start()]
        at = found.end()
    return kept + text[at:]


def _of_json(text: bytes) -> bytes:
    try:
        record = json.loads(text)
    except ValueError:
        return text
    level = _first(record, _JSON_LEVEL)
    if not level:
        return text
    trace = _first(record, _JSON_TRACE).replace("\\n", "\n").replace("\\t", "\t")
    deepest = trace[trace.rfind("Caused by: ") :] if "Caused by: " in trace else trace
    first, *_ = deepest.strip().splitlines() or [""]
    parts = (level.upper(), _first(record, _JSON_TEXT), first.removeprefix("Caused by: "))
    return ": ".join(filter(None, parts)).replace("\n", " ").encode()


def _first(record: Any, names: Iterable[str]) -> str:  # noqa: ANN401 - JSON
    values = (record.get(name) for name in names)
    return next((value for value in values if isinstance(value, str)), "")
