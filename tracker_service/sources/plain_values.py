"""The border for what answers of the cluster say: texts are texts, and numbers fit everywhere.

Programs choose names, messages and ids, and the cluster hands them on as they are.
"""

from __future__ import annotations

import re
from typing import Any

_MOST_CHARS = 64 * 1024  #: of a text; Oozie's database has no longer message
_MOST_DIGITS = 20
_MOST_NUMBER = 2**31 - 1  #: of a column of all databases
#: What a terminal obeys, a database refuses or nobody sees: control characters but for the end of a
#: line and the tab, halves of surrogate pairs, and what turns the direction of a text.
_ODD = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
#: In JSON as it is written. Other answers are plain, and not gone through.
_MAY_HAVE_ODD = re.compile(rf"\\[ubf]|{_ODD.pattern}")


def plain_json(value: Any, written: str) -> Any:  # noqa: ANN401 (JSON)
    """Return a value of JSON with `?` in place of each odd character.

    Args:
        written: the JSON.

    Raises:
        RecursionError: it is too deep.
    """
    return _plain(value) if _MAY_HAVE_ODD.search(written) else value


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return _ODD.sub("?", value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(name): _plain(item) for name, item in value.items()}
    return value


def text_of(value: object) -> str | None:
    """Return a text, cut to 64 Ki characters; some releases write a number in its place.

    What is neither a text nor a number counts as nothing.
    """
    if isinstance(value, str):
        return value[:_MOST_CHARS]
    return str(value) if isinstance(value, int | float) and abs(value) < 1e18 else None


def number_of(value: object, most: int = _MOST_NUMBER) -> int:
    """Return a count, 0 for nothing.

    Raises:
        ValueError: it is no number, negative, or beyond the most.
    """
    if value in (None, ""):
        return 0
    if isinstance(value, float) and value.is_integer() and abs(value) < most:
        value = int(value)
    text = str(value) if isinstance(value, str | int) else ""
    number = int(text) if text.isdecimal() and len(text) < _MOST_DIGITS else -1
    if not 0 <= number <= most:
        raise ValueError(f"{text[:40]!r} is no count")
    return number
