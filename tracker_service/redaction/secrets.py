"""Find secrets in a log by what they look like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tracker_service.regex import exact

#: The most of a private key; what is longer and has no end is none.
KEY_BYTES = 32 * 1024

_COMMAND_BYTES = 2000  #: between the name of a command and its option

_PRIVATE_KEY = "private-key"
_OF_PASSWORDS = (
    r"pass(?:word|wd|phrase|code)|[._;?&\"'-]pwd|\bsecret|[._-]secret"
    r"|(?:client|consumer|app|shared|webhook|signing)_?secret"
    r"|[._-]pass|(?:db|user|admin|root|ldap|smtp|bind|ssh)pass|rediscli_auth"
    r"|(?:api|subscription|(?:shared)?access|encryption|signing)[._-]?key"
    r"|account[._]?key[\w.-]*|oauth2?[._-]credential"
)
_OF_AWS_KEYS = r"secret[._-]?(?:access[._-]?)?key"
_OF_TOKENS = (
    r"(?:access|refresh|auth|session|bearer|api|oauth|bot|id|security|private|personal|x|vault"
    r"|consul|github|gitlab|slack|deploy)[._-]?token|[?&\"']token|hadoop[._-]auth|[a-z]*sessionid"
)
_OF_DELEGATION = r"[?&]delegation|[\"']urlstring"
_SCHEMES = r"(?i:basic|bearer|negotiate|token|ntlm)"
_OPTION = r"(?i)(?:^|[\s\"',\[=])--?[\w.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token)"
#: What stands between the name of a secret and its value.
_IS = r"(?:s|[._-]?(?:[0-9]{1,2}|hash|text|value|plain))?\\*[\"']?[ \t]*(?:=>|->|:=|==?|:)[ \t]*"
_QUOTED = (
    r"(?:\"((?:[^\"\\\n]|\\.)+)|'((?:[^'\\\n]|\\.)+)"
    r"|\\+\"((?:[^\"\\\n]|\\+[^\"\\\n])+)|\\+'((?:[^'\\\n]|\\+[^'\\\n])+))"
)
_BARE = r"([^\s\"'<\\])"
_IN_PAIR = r"[\w.-]*,([^\s\"'<>(),]+)\)"  #: as Spark prints its settings
_IN_BLOCK = r":[ \t]*[|>][+-]?[ \t]*\r?\n[ \t]+([^\s#][^\n]*)"  #: of YAML
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
    after: bytes = b""  #: words of which one stands before it in its line


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
        if _NO_SECRET.fullmatch(text, begin, end) or not _follows(rule.after, text, match.start()):
            begin = end
        return FoundSecret(match.start(), rule.name, begin, end)


def _follows(words: bytes, text: bytes, start: int) -> bool:
    low = max(text.rfind(b"\n", 0, start) + 1, start - _COMMAND_BYTES)
    return not words or re.search(rb"\b(?:%b)\b" % words, text[low:start]) is not None


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
    yield SecretPattern("token", rb"\b(?:%b)" % b"|".join(_WITH_PREFIX))
    yield SecretPattern("token", rb"hooks\.slack\.com/services/([\w/]{20,})")
    yield SecretPattern("password", rb"\$(?:2[aby]|apr1|[156y])\$([\w./$]{20,})")
    yield SecretPattern("password", rb"\"auth\"\s*:\s*\"([\w+/]{8,}=*)\"")
    yield SecretPattern("password", rb"(?i:\bcredentials?\\*[\"']?\s*[:=]\s*)\\*[\"']([^\"'\\\n]+)")
    yield SecretPattern(
        "password", rb"(?i:\bcredentials?(?:=|:\s*|\s*->\s*))([\w+/.~!@#$%^*:-]*[0-9][^\s\"'<,)]*)"
    )
    yield SecretPattern(
        "cookie", rb"(?i:\b(?:set-)?cookie2?\\*[\"']?\s*[:=]\s*\\*[\"']?)([\w.%-]+=[^\r\n\"'\\]+)"
    )
    yield SecretPattern("signature", rb"(?i:[?&;]sig(?:nature)?=)([\w%+/.~-]{16,}=*)")
    yield SecretPattern(
        "signature",
        rb"(?i:\bx-(?:amz|goog)-(?:signature|security-token)[=:]\s*)([\w%+/.~-]{16,}=*)",
    )
    yield SecretPattern("signature", rb"\bSignature=([0-9a-fA-F]{32,})")
    yield SecretPattern("authorization", rb"\bresponse=\\*\"?([0-9a-fA-F]{32,64})")
    yield SecretPattern(
        "authorization",
        rf"(?i:authorization)\\*[\"']?\s*[:=]\s*\\*[\"']?{_SCHEMES}\s+([^\s\"'<,\\]+)".encode(),
    )
    yield SecretPattern(
        "authorization",
        rb"\b(?i:basic|bearer|negotiate)\s+([A-Za-z+/_.~-]*[0-9][\w+/.~-]{8,}=*)",
    )
    yield SecretPattern("jwt", rb"\beyJ([\w-]{8,}\.eyJ[\w-]+(?:\.[\w-]*)*)")


#: Tokens that say what they are: the forms that their makers have published for those who look for
#: lost ones.
_WITH_PREFIX = (
    rb"xox[abeposr]-[\w-]{10,}|xapp-[0-9]-[\w-]{10,}",  # Slack
    rb"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{20,}",
    rb"gl(?:pat|dt|rt|ptt|cbt|soat|agent)-[\w.-]{20,}",  # GitLab
    rb"AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|1//0[\w-]{40,}",  # Google
    rb"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[\w+/]{20,}",  # Stripe
    rb"hv[sbr]\.[\w-]{20,}|s\.[A-Za-z0-9]{24}\b",  # Vault
    rb"npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,}|dckr_pat_[\w-]{20,}|AKCp[0-9A-Za-z]{10,}",
    rb"SG\.[\w-]{16,}\.[\w-]{16,}|key-[0-9a-f]{32}\b|SK[0-9a-f]{32}\b",  # senders of messages
    rb"sk-(?:ant-|proj-)?[\w-]{20,}|hf_[A-Za-z0-9]{30,}",  # language models
    rb"do[opr]_v1_[0-9a-f]{64}|dapi[0-9a-f]{32}|NRAK-[A-Z0-9]{27}|ATATT3[\w=-]{20,}",
    rb"gl(?:c|sa)_[\w+/=]{20,}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|sq0(?:atp|csp)-[\w-]{20,}",
    rb"[0-9]{8,10}:AA[\w-]{33}|lin_api_[A-Za-z0-9]{30,}|dp\.pt\.[A-Za-z0-9]{30,}",
    rb"AGE-SECRET-KEY-1[0-9A-Z]{58}|[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}",
)


def _named(name: str, names: str) -> Iterator[SecretPattern]:
    """Yield the rules for values that have one of these names."""
    before = rf"(?i:{names})"
    yield SecretPattern(name, (before + _IN_BLOCK).encode())
    yield SecretPattern(name, (before + _IS + _QUOTED).encode())
    yield SecretPattern(name, (before + _IS + _BARE).encode(), is_bare=True)
    yield SecretPattern(name, (before + _IN_PAIR).encode())
    yield SecretPattern(name, (before + _IN_PROPERTY).encode())
    yield SecretPattern(name, (before + _IN_ELEMENT).encode())


def _in_commands() -> Iterator[SecretPattern]:
    """Yield the rules for passwords among words."""
    bare = r"[\"']?,?(?:\r?\n)?[ \t]+[\"']?([^\s\"'<-])"  # Oozie writes each on its own line
    yield SecretPattern("password", (_OPTION + r"[\"']?,?[ \t]+" + _QUOTED).encode())
    yield SecretPattern("password", (_OPTION + bare).encode(), is_bare=True)
    yield SecretPattern("password", rb"(?i:\blogin\s+[^\s]+\s+password\s+)([^\s])", is_bare=True)
    yield SecretPattern("password", rb"(?i:\bidentified\s+by\s+)[\"']?([^\s\"';]+)")
    yield SecretPattern("password", rb"(?i:\bpassword\s*\(?\s*)'([^'\n]+)'")  # of SQL
    word = rb"([^\s\"'-][^\s\"']*)"
    next_word = rb"[ \t]+[\"']?" + word
    user = rb"\s(?:-u|--(?:proxy-)?user)[ \t=]*[\"']?[^\s:\"']+:([^\s\"']+)"
    yield SecretPattern("password", user, after=rb"curl|wget|http")
    with_p = rb"mysql\w*|mariadb[\w-]*|beeline|sshpass"  # `mysql -p sales` asks for the password
    yield SecretPattern("password", rb"\s-p" + word, after=with_p)
    yield SecretPattern("password", rb"\s-p" + next_word, after=rb"beeline|sshpass|docker login")
    yield SecretPattern("password", rb"\s-w(?:[ \t]+[\"']?)?" + word, after=rb"ldap[a-z]+")
    yield SecretPattern("password", rb"\s-a" + next_word, after=rb"redis-cli")
