"""Read job ids as people and tools write them: one form of id, everywhere the same."""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tracker_service.domain.jobs import JOB_ID_PATTERN, JobId

EXAMPLE = "0000042-261122041514971-oozie-prod-W"
MAX_ACTIONS = 100  #: of coordinators with one request: Oozie is asked about each of them
_MAX_NAMED = 20  #: wrong ids that a message names
_MAX_SHOWN = 100  #: characters of a wrong id that a message shows

_NUMBERS = r"[0-9]{1,9}(?:-[0-9]{1,9})?"
_ID = re.compile(
    rf"(?<![0-9A-Za-z_@-])(?P<job>{JOB_ID_PATTERN})"
    rf"(?:(?<=C)@(?P<numbers>{_NUMBERS}(?:,{_NUMBERS}(?![0-9A-Za-z_-]))*)"
    r"|(?<=W)@(?P<action>:?[A-Za-z_][A-Za-z0-9_-]{0,127}:?))?"
    r"(?![0-9A-Za-z_@-]|\.[0-9A-Za-z])"
)
_ANYWHERE = re.compile(JOB_ID_PATTERN)
_NEARLY = re.compile(r"[0-9]-[0-9]{15}-|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-")
_LABEL_WORDS = r"(?:(?:oozie|jobs?|workflow|coordinator|coord|bundle|action|ids?)[ _-]?){1,3}"
#: The words before ids: `job: ` (`oozie job -run`), `Job ID : ` (`oozie job -info`), `id=`.
_LABEL = re.compile(
    rf"\b{_LABEL_WORDS}[\"']?[ \t]*[:=]",
    re.IGNORECASE,
)
_HEADING = re.compile(_LABEL_WORDS, re.IGNORECASE)  #: of a column
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]", re.MULTILINE)
_COMMENT_LINE = re.compile(r"^[ \t]*(?:#|//).*$", re.MULTILINE)
_COMMENT_BEHIND = re.compile(r"(?<=[ \t])#.*$", re.MULTILINE)
_SEPARATORS = " \t\r\n\f\v\0\x1a,;|&.\"'`()[]{}<>"
_FOR_PLAIN = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-")
    | dict.fromkeys("\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb\u2039\u203a", '"')
    | dict.fromkeys("\uff0c\u3001", ",")
    | {"\uff1b": ";", "\uff1a": ":", "\ufeff": " "}
)
#: Of characters that nobody sees, of spaces, and of line ends.
_FOR_CATEGORY = {"Cf": "", "Zs": " ", "Zl": "\n", "Zp": "\n"}
_BOMS_OF_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class UnreadableIdsError(ValueError):
    """A text has something in it that is no id; the message says what, and what to do."""


@dataclass(frozen=True, slots=True)
class WrittenId:
    """One id that somebody wrote."""

    text: str  #: the id alone, with the action that it names: `…-W@load`, `…-C@12`
    #: the job that it names; of an action of a workflow, the workflow; of a coordinator, the action
    id: JobId


def decoded(body: bytes, charset: str | None = None) -> str:
    """Return bytes that hold ids as text.

    A byte order mark outranks the charset (https://encoding.spec.whatwg.org/#decode). Without both,
    it is UTF-8; UTF-16 and UTF-32 are known by their zero bytes (RFC 4627, section 3), and anything
    else is Windows-1252, where only comments and separators can have such characters.

    Args:
        charset: the name that the sender gave.

    Raises:
        LookupError: nobody knows a charset of this name.
        UnicodeDecodeError: the bytes are not in the charset that the sender named.
    """
    if body.startswith(_BOMS_OF_UTF_16) and 0 not in body:  # `curl -d @file` takes out zero bytes
        body, charset = body[2:], None
    seen = json.detect_encoding(body)
    if seen != "utf-8":
        return body.decode(seen)
    if charset:
        return body.decode(_known(charset))
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def _known(charset: str) -> str:
    """Return Python's name of a charset; its other codecs are none."""
    name = codecs.lookup(charset).name
    if not re.match(r"(ascii|utf-|iso8859|cp\d|koi8|gb|big5|shift_jis|euc_|mac-|tis)", name):
        raise LookupError(f"{charset} is no charset")
    return name


def read_ids(text: str, *, in_prose: bool = False) -> list[WrittenId]:
    """Return the ids in a text, in their order.

    White space, commas, semicolons, quotes and brackets may stand between ids, and labels such as
    `job:` before them. Lines that begin with `#` or `//` are comments. Invisible characters do not
    count. `…-C@1-3,5` is four actions.

    Args:
        in_prose: leave out what does not resemble an id.

    Raises:
        UnreadableIdsError: something else stands there, such as two ids without anything between.
    """
    plain = _without_comments(_plain(text))
    found, others, end = list[WrittenId](), list[str](), 0
    for match in _ID.finditer(plain):
        if _ANYWHERE.search(match["action"] or ""):
            continue  # the next id stands directly behind the name of an action
        found += _written(match)
        others.append(plain[end : match.start()])
        end = match.end()
    others.append(plain[end:])
    wrong = [other for gap in others for other in _other_texts(gap)]
    if in_prose:
        wrong = [word for other in wrong for word in other.split() if _NEARLY.search(word)]
    if wrong:
        raise UnreadableIdsError(_explanation(wrong))
    return found


def _plain(text: str) -> str:
    """Return a text with plain quotes and dashes, without characters that nobody sees."""
    if text.isascii():
        return text
    text = text.translate(_FOR_PLAIN)
    return "".join(_FOR_CATEGORY.get(unicodedata.category(char), char) for char in text)


def _without_comments(text: str) -> str:
    text = _COMMENT_LINE.sub("", text)
    # Where the lines of a file were joined, a comment has swallowed the ids behind it.
    return _COMMENT_BEHIND.sub(
        lambda comment: comment[0] if _NEARLY.search(comment[0]) else "", text
    )


def _written(match: re.Match[str]) -> Iterator[WrittenId]:
    job_id = JobId(match["job"])
    if match["numbers"]:
        for number in _numbers(match["numbers"], match[0]):
            action = f"{job_id}@{number}"
            yield WrittenId(action, JobId(action))
    else:
        yield WrittenId(match[0], job_id)


def _numbers(text: str, written: str) -> Iterable[int]:
    """Return the numbers of a coordinator's actions, as in `oozie job -rerun … -action 1-3,5`."""
    numbers = list[int]()
    for part in text.split(","):
        first, _, last = part.partition("-")
        span = range(int(first), int(last or first) + 1)
        if not span or span[0] < 1 or len(numbers) + len(span) > MAX_ACTIONS:
            raise UnreadableIdsError(
                f"{written[:_MAX_SHOWN]}: name actions of a coordinator from 1 on, at most "
                f"{MAX_ACTIONS} at once; all of them are tracked with the coordinator itself."
            )
        numbers += span
    return numbers


def _other_texts(gap: str) -> Iterator[str]:
    """Yield what is left of a text between ids, without labels, bullets and separators."""
    for line in _BULLET.sub("", _LABEL.sub(" ", gap)).splitlines():
        left = line.strip(_SEPARATORS)
        if left and not _HEADING.fullmatch(left):
            yield left


def _explanation(wrong: list[str]) -> str:
    # What nobody sees is written as an escape.
    named = ", ".join(repr(each[:_MAX_SHOWN])[1:-1] for each in wrong[:_MAX_NAMED])
    if len(wrong) > _MAX_NAMED:
        named += f" and {len(wrong) - _MAX_NAMED} more"
    reason = f"This is not shaped like an Oozie job id ({EXAMPLE}): {named}"
    if any(_ANYWHERE.search(each) for each in wrong):
        reason += (
            ". Two ids in one line need something between them: `curl -d @file` takes the line "
            "breaks out, send the file with --data-binary @file."
        )
    return reason
