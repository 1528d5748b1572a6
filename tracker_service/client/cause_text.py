"""Lay a cause out for people: the API's text and the command's look alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from enum import Enum, auto
from typing import Any, NamedTuple

_WIDTH = 11  #: of the names before facts
_INDENT = "    "
_RETRY = {
    "yes": "it may go well if it is run again",
    "no": "to run it again will not help",
    "unknown": "nobody can say whether it helps to run it again",
}
_SO_FAR = "from what is known so far: more may be told when its logs are saved"
_SOME_MISSING = "not all of its logs could be read"
_SOURCES = {"oozie": "Oozie", "yarn": "YARN"}


class Role(Enum):
    """What a line is, for those who can show it in a colour."""

    TITLE = auto()
    FACT = auto()
    PLACE = auto()  #: where a quote stands
    QUOTE = auto()
    NOTE = auto()


class CardLine(NamedTuple):
    """One line of a card; nothing in it does anything to a terminal."""

    role: Role
    text: str


def lines(card: Mapping[str, Any], zone: tzinfo | None = UTC) -> Iterator[CardLine]:
    """Yield the lines of a card.

    Args:
        card: a cause as the API tells it in JSON.
        zone: in which times are told; None for that of this machine.
    """
    yield CardLine(Role.TITLE, printable(f"{card['id']}: {card['summary']}"))
    if not card["complete"]:
        yield CardLine(Role.NOTE, f"  {_SOME_MISSING if card['decided-at'] else _SO_FAR}")
    yield CardLine(Role.FACT, "")
    for name, value in _facts(card):
        yield CardLine(Role.FACT, f"{name:{_WIDTH}}{printable(value)}")
    if card["evidence"]:
        yield CardLine(Role.FACT, "")
        yield CardLine(Role.FACT, "proved by")
        for quote in card["evidence"]:
            yield CardLine(Role.PLACE, f"  {printable(_place(quote))}")
            yield CardLine(Role.QUOTE, _INDENT + printable(quote["text"]))
    yield CardLine(Role.FACT, "")
    yield CardLine(Role.FACT, f"{'hint':{_WIDTH}}{printable(card['hint'])}")
    if others := card["also-hit"]:
        yield CardLine(Role.FACT, f"{'also hit':{_WIDTH}}{_others(card, others, zone)}")


def printable(text: object) -> str:
    """Return a text in one line that does nothing to a terminal."""
    wide = str(text).expandtabs(4)
    return "".join(char if char.isprintable() else "?" for char in wide)


def _facts(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    sure = round(100 * card["confidence"])
    yield "what", f"{card['category']} ({sure} % sure); {_RETRY[card['retryable']]}"
    if card["evidence"]:
        yield "where", _place(card["evidence"][0])
    elif card["action"]:
        yield "where", f"action {card['action']}"
    if card["error"]:
        yield "error", card["error"]
    if card["exit-code"] is not None:
        yield "exit code", str(card["exit-code"])


def _place(quote: Mapping[str, Any]) -> str:
    """Return where a quote stands: from the action down to the line."""
    line = "" if quote["line"] is None else f":{quote['line']}"
    parts = [
        _SOURCES.get(quote["source"]),
        f"action {quote['action']}" if quote["action"] else None,
        f"application {quote['application']}" if quote["application"] else None,
        quote["container"],
        f"{quote['file']}{line}" if quote["file"] else None,
    ]
    return ", ".join(part for part in parts if part)


def _others(card: Mapping[str, Any], others: Mapping[str, Any], zone: tzinfo | None) -> str:
    since = datetime.fromisoformat(others["since"]).astimezone(zone)
    failed = card["failed-at"] and datetime.fromisoformat(card["failed-at"]).astimezone(zone)
    is_same_day = failed and failed.date() == since.date()
    time = f"{since:%H:%M}" if is_same_day else f"{since:%Y-%m-%d %H:%M}"
    suffix = " UTC" if zone is UTC else ""
    jobs = "1 other job" if others["jobs"] == 1 else f"{others['jobs']} other jobs"
    return f"{jobs} since {time}{suffix}"
