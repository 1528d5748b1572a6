"""Read the parameters of a call as Go's `Request.ParseForm` does.

See https://pkg.go.dev/net/http#Request.ParseForm
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from tracker_service.errors import BadInput

FORM = "application/x-www-form-urlencoded"
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(
    rf"\s*(?P<type>{_WORD}(/{_WORD})?)\s*"
    rf'(;\s*({_WORD}\s*=\s*({_WORD}|"([^"\\]|\\.)*")\s*)?)*'
)


def form_of(query: str, content_type: str | None, body: bytes) -> dict[str, str]:
    """Return the parameters of a call: the first value of each name, the body before the query.

    Args:
        query: as it stands in the request, after the question mark.
        content_type: a body of another type than a form is not read.

    Raises:
        BadInput: an escape is broken, or a semicolon separates parameters.
    """
    form: dict[str, str] = {}
    texts = [query]
    if content_type and _media_type(content_type) == FORM:
        texts.insert(0, body.decode("latin-1"))
    for text in texts:
        for name, value in _pairs(text):
            form.setdefault(name, value)
    return form


def _media_type(content_type: str) -> str:
    found = _MEDIA_TYPE.fullmatch(content_type)
    if found is None:
        raise BadInput(f"the Content-Type {content_type[:80]!r} is none")
    return found["type"].lower()


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    if ";" in text:
        raise BadInput("parameters are separated by &, not by ;")
    for pair in text.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            yield _unescaped(name), _unescaped(value)


def _unescaped(text: str) -> str:
    """Return a name or value as text that every database takes."""
    if text.isalnum() and text.isascii():
        return text
    if _BAD_ESCAPE.search(text):
        raise BadInput("a % is not followed by two hexadecimal digits")
    plain = unquote_to_bytes(text.replace("+", " ").encode("latin-1", "replace"))
    return plain.decode("utf-8", "replace").replace("\0", "\ufffd")
