"""Find secrets in a log by what they look like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tracker_service.regex import exact

#: The most of a private key; what is longer and has no end is none.
KEY_BYTES = 32 * 1024

_PRIVATE_KEY = "private-key"
_OF_PASSWORDS = (
    r"pass(?:word|wd|phrase|code)|[._;?&\"'-]pwd|\bsecret|[._-]secret|client_?secret"
    r"|api[._-]?key|account[._]key[\w.-]*|oauth2?[._-]credential"
)
_OF_AWS_KEYS = r"secret[._-]?(?:access[._-]?)?key"
_OF_TOKENS = (
    r"(?:access|refresh|auth|session|bearer)[._-]?token|[?&\"']token|hadoop[._-]auth"
    r"|[a-z]*sessionid"
)
_OF_DELEGATION = r"[?&]delegation|[\"']urlstring"
_SCHEMES = r"(?i:basic|bearer|negotiate|token|ntlm)"
_OPTION = r"(?i)(?:^|[\s\"',\[=])--?[\w.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token)"
#: What stands between the name of a secret and its value.
_IS = r"(?:s|[._-]?(?:[0-9]{1,2}|hash|text|value|plain))?\\*[\"']?[ \t]*(?:=>|:=|==?|:)[ \t]*"
_QUOTED = (
    r"(?:\"((?:[^\"\\\n]|\\.)+)|'((?:[^'\\\n]|\\.)+)"
    r"|\\+\"((?:[^\"\\\n]|\\+[^\"\\\n])+)|\\+'((?:[^'\\\n]|\\+[^'\\\n])+))"
)
_BARE = r"([^\s\"'<\\])"
_IN_PROPERTY = r"[\w.-]*</name>\s*<value>\s*([^<>\n]+)"
_IN_ELEMENT = r"(?:\s+[\w:.-]+=\"[^\"<>\n]*\")*>([^<>\n]+)</"

#: A value without quotes goes on to the next name, without the end of what both stand in. How
#: long it is, is not left to RE2: of what lies beyond the next name, more values are to be found.
_VALUE = re.compile(rb"[^\s\"'<&;,]*(?:[&;,](?![\w.$-]*[=:])[^\s\"'<&;,]*)*")
_CLOSING = b"&;,)}]>"
#: What stands in the place of a secret and is none.
_NO_SECRET = re.compile(
    rb"[*x]{3,}|\**[(\[<]?(redacted|hidden)[)\]>]?|null|none|true|false|yes|no|\$\{[^}]*\}?|[({\[]+",
    re.IGNORECASE,
)
_KEY_BEGINS = rb"-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}"
_KEY_ENDS = re.compile(rb"END [A-Z0-9 ]{0,40}PRIVATE KEY")
#: What a private key without an end looks like: lines that end in base64, perhaps after what a
#: logger puts before each; or all on one line with `\n` for the ends of lines.
_KEY_BODY = exact(
    rb"(?:[ \t\r]*(?:\\[nr][\w+/=\\]*"
    rb"|\n(?:[^\n]{0,80}?[A-Za-z0-9+/=]{16,}|[^\n]{0,80}(?:Proc-Type|DEK-Info):[^\n]*|[\w+/=]*)"
    rb"[ \t\r]*(?m:$)))*",
    is_utf8=True,
)


class SecretPattern(NamedTuple):
    """What a secret looks like."""

    name: str  #: under which it is counted
    expression: bytes  #: of RE2; its first group that takes part is the secret, without one all is
    is_bare: bool = False  #: the group is the beginning of a value without quotes


class FoundSecret(NamedTuple):
    """A place in a text where a rule matches."""

    start: int
    name: str  #: of the rule
    begin: int  #: of the secret
    end: int  #: of the secret; what has its form and is none, is empty
    is_open: bool = False  #: with more text the secret may have another end


class Secrets:
    """Finds secrets, in a time that grows with the length of the text and with nothing else.

    Args:
        own: more expressions of RE2, by the names under which they are counted.
    """

    def __init__(self, own: Mapping[str, str]) -> None:
        rules = [*_rules(), *(SecretPattern(name, own[name].encode()) for name in own)]
        self._any = exact(b"|".join(b"(%s)" % rule.expression for rule in rules))
        #: rules, each with the number of its own group and those of the groups in it
        self._groups: list[tuple[SecretPattern, int, range]] = []
        count = 0
        for rule in rules:
            inner = exact(rule.expression).groups
            self._groups.append((rule, count + 1, range(count + 2, count + 2 + inner)))
            count += 1 + inner

    def find(self, text: bytes, start: int) -> FoundSecret | None:
        """Return the first place from there on that a rule fits."""
        match = self._any.search(text, start)
        while match and match.end() == match.start() < len(text):  # as `\b` of a site is
            match = self._any.search(text, match.end() + 1)
        if match is None or match.end() == match.start():
            return None
        rule, whole, groups = next(group for group in self._groups if match.start(group[1]) >= 0)
        if rule.expression is _KEY_BEGINS:
            return _key(text, *match.span(whole))
        begin, end = next((match.span(n) for n in groups if match.start(n) >= 0), match.span())
        if rule.is_bare:
            end = _bare_end(text, begin)
        elif begin == end:
            begin = end = match.end()
        if _NO_SECRET.fullmatch(text, begin, end):
            begin = end
        return FoundSecret(match.start(), rule.name, begin, end)


def _key(text: bytes, start: int, begin: int) -> FoundSecret:
    """Return what stands between the first line of a private key and its last."""
    if ends := _KEY_ENDS.search(text, begin, begin + KEY_BYTES):
        return FoundSecret(
            start,
            _PRIVATE_KEY,
            begin,
            begin + len(text[begin : ends.start()].removesuffix(b" ").rstrip(b"-")),
        )
    body = _KEY_BODY.match(text[begin : begin + KEY_BYTES])
    is_open = len(text) - begin < KEY_BYTES
    return FoundSecret(start, _PRIVATE_KEY, begin, begin + (body.end() if body else 0), is_open)


def _bare_end(text: bytes, begin: int) -> int:
    value = _VALUE.match(text, begin)
    return begin + len(value.group().rstrip(_CLOSING)) if value else begin


def _rules() -> Iterator[SecretPattern]:
    """Yield the rules that hold everywhere; if several fit at a place, the first counts."""
    yield SecretPattern("password", rb"/etc/passwd()")  # what follows it, as a reason, is no secret
    yield SecretPattern(_PRIVATE_KEY, _KEY_BEGINS)
    yield SecretPattern("aws-key", rb"://((?:AKIA|ASIA)[^\s/:\"'<>]*:[^\s/\"'<>]+)@")
    yield SecretPattern("aws-key", rb"\b(?:AKIA|ASIA)([0-9A-Z]{16})\b")
    yield SecretPattern("url", rb"://[^\s/:\"'<>]*:([^\s/\"'<>]+)@")
    yield SecretPattern("url", rb"(?i:jdbc:oracle:[a-z]+:[\w.$#-]+)/([^\s/\"'<>]+)@")
    yield from _named("aws-key", _OF_AWS_KEYS)
    yield from _named("password", _OF_PASSWORDS)
    yield SecretPattern(
        "password", rb"(?i:\bpwd=)([^\s\"'</$.~])", is_bare=True
    )  # and not the directory
    yield from _named("token", _OF_TOKENS)
    yield SecretPattern("token", rb"(?i:token=)[\"']?([\w+/.~%-]{8,}=*)")
    yield from _named("delegation-token", _OF_DELEGATION)
    yield from _in_commands()
    yield SecretPattern(
        "authorization",
        rf"(?i:authorization)\\*[\"']?\s*[:=]\s*\\*[\"']?{_SCHEMES}\s+([^\s\"'<,\\]+)".encode(),
    )
    yield SecretPattern(
        "authorization",
        rb"\b(?i:basic|bearer|negotiate)\s+([A-Za-z+/_.~-]*[0-9][\w+/.~-]{8,}=*)",
    )
    yield SecretPattern("jwt", rb"\beyJ([\w-]{8,}\.eyJ[\w-]+(?:\.[\w-]*)*)")


def _named(name: str, names: str) -> Iterator[SecretPattern]:
    """Yield the rules for values that have one of these names."""
    before = rf"(?i:{names})"
    yield SecretPattern(name, (before + _IS + _QUOTED).encode())
    yield SecretPattern(name, (before + _IS + _BARE).encode(), is_bare=True)
    yield SecretPattern(name, (before + _IN_PROPERTY).encode())
    yield SecretPattern(name, (before + _IN_ELEMENT).encode())


def _in_commands() -> Iterator[SecretPattern]:
    """Yield the rules for passwords among words."""
    bare = r"[\"']?,?(?:\r?\n)?[ \t]+[\"']?([^\s\"'<-])"  # Oozie writes each on its own line
    yield SecretPattern("password", (_OPTION + r"[\"']?,?[ \t]+" + _QUOTED).encode())
    yield SecretPattern("password", (_OPTION + bare).encode(), is_bare=True)
    yield SecretPattern("password", rb"(?i:\blogin\s+[^\s]+\s+password\s+)([^\s])", is_bare=True)
    yield SecretPattern("password", rb"(?i:\bidentified\s+by\s+)[\"']?([^\s\"';]+)")
