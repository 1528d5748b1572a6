"""Give failures with the same cause the same short name."""

from __future__ import annotations

import hashlib
import re

_LENGTH = 12  #: hexadecimal digits
_LONGEST = 2000  #: characters of the text that count

_PREFIX = re.compile(
    r"^(?:\[[^\]]*\]\s*)?(?:[\d/:.,TZ+-]+\s+)*(?:\[?(?:INFO|WARN|WARNING|ERROR|FATAL|SEVERE)\]?:?\s+)"
    r"(?:\[[^\]]*\]\s+)?(?:[\w.$]+:\s+)?"
)
_OPENING = re.compile(r"^(?:Caused by: |Exception in thread \"[^\"]*\" |: )")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_OOZIE_ID = re.compile(r"\b\d{7,10}-\d{15}-[\w.-]{1,60}?-[WCB]\b(?:@[\w:.-]+)?")
_YARN_ID = re.compile(r"\b(?:appattempt|application|attempt|container|job|task)_[\w]*\d\w*")
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*)://[^/\s'\",;)\]]*")
_HOST = re.compile(
    r"\b[A-Za-z0-9][\w.-]*(?:/\d{1,3}(?:\.\d{1,3}){3})?:\d{2,5}\b"
    r"|\b[A-Za-z0-9][\w.-]*/\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|\b[A-Za-z0-9][\w-]*(?:\.[\w-]+)*\.(?:com|org|net|local|lan|corp|internal|intern|example)\b"
    r"(?![.\w])"
)
_HOME = re.compile(r"(/(?:user|home|Users)/)[^/\s'\":,;)\]]+")
_USER = re.compile(
    r"(\b(?:user|owner|as user|run as)(?: is |=|: ?| ?'| ?\[))[A-Za-z_][\w.@-]*"
    r"|(\buser )[A-Za-z_][\w.@-]*(?= (?:cannot|can not|does|is|has|may|not|at|on|was)\b)",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\b(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?,?"
    r"|(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|June?|July?|Aug(?:ust)?|Sep(?:tember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)(?=[\s,-]*\d)"
    r"|(?<=\d[\s-])(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(?=[\s-])"
    r"|UTC|GMT|CES?T|[ECMP][SD]T|JST|IST|MSK)(?!\w)"
)
_HEX = re.compile(
    r"\b(?:0x[0-9a-fA-F]+|(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{6,})\b|@[0-9a-f]{4,}\b"
)
_WORD = re.compile(r"[A-Za-z0-9]+")
_TURN = re.compile(r"[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])")
_MOST_TURNS = 2  #: between letters and digits in a word that somebody thought of: `s3a`, `Utf8`
_NUMBER = re.compile(r"[-+]?\d+(?:[.,:/_-]*\d+)*")
_SPACE = re.compile(r"\s+")
_AGAIN = re.compile(r"#(?:[ ,-]+#)+")  #: a time has one part more in some months


def fingerprint(rule: str, text: str) -> str:
    """Return the short name of the family of a failure.

    Args:
        rule: which one decided.
        text: the line that proves the cause.
    """
    named = f"{rule}\n{normalised(text)}"
    return hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()[:_LENGTH]


def normalised(text: str) -> str:
    """Return a line without what differs between failures of one family.

    That is ids, hosts, ports, numbers, users and their directories, times with their days, months
    and zones, and what a log4j layout puts before the message.
    """
    text = _without_head(_SPACE.sub(" ", text.strip()[:_LONGEST]))
    text = _UUID.sub("#", text)
    text = _OOZIE_ID.sub("#", text)
    text = _YARN_ID.sub("#", text)
    text = _URL.sub(r"\1://#", text)
    text = _HOST.sub("#", text)
    text = _HOME.sub(r"\1#", text)
    text = _USER.sub(lambda found: f"{found[1] or found[2]}#", text)
    text = _DATE.sub("#", text)
    text = _HEX.sub("#", text)
    text = _WORD.sub(_no_random, text)
    text = _NUMBER.sub("#", text)
    return _AGAIN.sub("#", _SPACE.sub(" ", text).strip())


def _without_head(text: str) -> str:
    """Return a line without what stands before its message, also where that stands there twice."""
    before = None
    while before != text:
        before, text = text, _OPENING.sub("", _PREFIX.sub("", text))
    return text


def _no_random(word: re.Match[str]) -> str:
    return "#" if len(_TURN.findall(word[0])) > _MOST_TURNS else word[0]
