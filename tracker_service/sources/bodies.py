"""Read the bodies of answers: JSON as Hadoop and Oozie write it, and the words of an error.

Follows https://hadoop.apache.org/docs/r3.3.6/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
(RemoteException), https://oozie.apache.org/docs/5.2.1/WebServicesAPI.html and RFC 8259.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

from tracker_service.errors import GatewayUnavailable
from tracker_service.sources.plain_values import plain_json

_CSRF_WORDS = "Missing Required Header"  #: of the filters of Hadoop and Knox
CSRF_REMEDY = (
    "if a filter against forged requests (CSRF) is on there, set gateway.csrf_header to the header "
    "that it wants"
)
_LONGEST_WORDS = 300  #: characters of an error that are told
_ERROR_BYTES = 256 * 1024  #: of the body of an error that are read
#: What is no JSON and is written all the same, where a string is not meant. The first alternative
#: passes over strings.
_BARE_NUMBERS = re.compile(r'"(?:[^"\\]|\\.)*"|[-+]?\b(?:INF|Infinity|NaN)\b', re.DOTALL)
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_QUERY = re.compile(r"\?[^\s\"'<>]*=[^\s\"'<>]*")
#: How an exception of the NameNode looks in the words of a server that has asked it.
_WRAPPED = re.compile(r"RemoteException\((?:[\w$]+\.)*([\w$]+)\):?\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RemoteError:
    """Hadoop's `RemoteException`: the name of the Java class, and the first line of its message."""

    exception: str
    message: str


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a body, None if there is none.

    Numbers that are none (`INF`, `-Infinity`, `NaN`) become null. Its texts are plain.
    """
    try:
        text = body.decode(json.detect_encoding(body), "replace")
        value = plain_json(_parsed(text), text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _parsed(text: str) -> object:
    try:
        return json.loads(text, strict=False, parse_constant=lambda _: None)
    except ValueError:
        return json.loads(_BARE_NUMBERS.sub(_without_numbers, text), strict=False)


def _without_numbers(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith('"') else "null"


@contextmanager
def trusting_nothing(path: str) -> Iterator[None]:
    """Turn what is wrong in a body into "ask again": the gateway may have cut or mixed it."""
    try:
        yield
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise GatewayUnavailable(f"{path}: an answer that makes no sense ({error!r})") from error


def items(value: object) -> list[Any]:
    """Return the objects of a list; a list of one may be written as that one, and none as nothing.

    Args:
        value: a list, an object, or `null`, `{}` and `""`, which stand for no object.

    Raises:
        ValueError: it is something else.
    """
    if value in (None, "", {}):
        return []
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return value
    raise ValueError(f"{value!r} is no list")


def nested_items(body: Mapping[str, Any], outer: str, inner: str) -> list[Any]:
    """Return the objects of a list below two names, where some releases leave out one of them.

    Raises:
        ValueError: it is no list.
    """
    held = body.get(outer) if outer in body else body
    if isinstance(held, dict) and (inner in held or "id" not in held):
        return items(held.get(inner))
    return items(held)


def remote_error(body: bytes) -> RemoteError | None:
    """Return the error of Hadoop in a body, None if there is none.

    Where a DataNode or HttpFS hands on what the NameNode said, that is the error.
    """
    error = (json_object(body) or {}).get("RemoteException")
    if not isinstance(error, dict):
        return None
    exception, message = str(error.get("exception") or ""), str(error.get("message") or "").strip()
    if wrapped := _WRAPPED.search(message):
        exception, message = wrapped[1], wrapped[2]
    return RemoteError(exception, _one_line(message) or exception)


def words_of(headers: Mapping[str, str], body: bytes, reason: str | None = None) -> str | None:
    """Return what a service says about an error, in one line; None if it says nothing.

    Args:
        reason: the words after the status.
    """
    said = headers.get("oozie-error-message") or _of_json(body) or _of_text(headers, body)
    return _one_line(said or _own_reason(reason) or "") or None


def refusal(method: str, status: int, words: str | None) -> str:
    """Return what a status from 400 on says, which is never empty.

    Knox's filter against forged requests refuses what changes something with a bare 400.

    Args:
        words: of the service, if it has any.
    """
    text = words or f"answered {status} without a word"
    is_forged = status == HTTPStatus.BAD_REQUEST and method != "GET"
    return f"{text}; {CSRF_REMEDY}" if is_forged and _CSRF_WORDS in (words or _CSRF_WORDS) else text


def error_body(response: requests.Response) -> bytes:
    """Return the body of an error, which ends here if it is long or breaks off."""
    read = b""
    try:
        for piece in response.iter_content(8192):
            read += piece
            if len(read) > _ERROR_BYTES:
                break
    except requests.RequestException:
        pass  # the status counts without its words
    finally:
        response.close()
    return read


def _of_json(body: bytes) -> str | None:
    if error := remote_error(body):
        return error.message
    value = json_object(body) or {}
    found = (value.get(key) for key in ("errorMessage", "message", "error"))
    return next((text for text in found if isinstance(text, str) and text.strip()), None)


def _of_text(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return the words of a page or of a plain text; what is neither has none."""
    text = body.decode("utf-8", "replace")
    if title := _TITLE.search(text):
        return html.unescape(title[1])
    if text.lstrip().startswith(("{", "[")) or "\0" in text or "\ufffd" in text:
        return None
    return html.unescape(_TAGS.sub(" ", text))


def _own_reason(reason: str | None) -> str | None:
    usual = {status.phrase.lower() for status in HTTPStatus}
    return reason if reason and reason.strip().lower() not in usual else None


def _one_line(text: str) -> str:
    """Return the first line: the rest is a Java stack trace. A query may hold a secret."""
    lines = [line for line in text.splitlines() if line.strip()]
    line = " ".join(lines[0].split()) if lines else ""
    return _QUERY.sub("?…", line)[:_LONGEST_WORDS]
