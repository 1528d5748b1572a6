"""Names of users: which ones may be one, and what a proxy adds to them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

#: Hadoop's default of `dfs.webhdfs.user.provider.user.pattern` (hdfs-default.xml).
HADOOP_USER_PATTERN = r"^[A-Za-z_][A-Za-z0-9._-]*[$]?$"
#: `dfs.namenode.fs-limits.max-component-length`: the name is one of a directory, in UTF-8.
MAX_USER_BYTES = 255
_SHOWN_CHARS = 64  #: of a name that is refused
#: What separates directories or stands in no HDFS path, what Hadoop's shell takes for a pattern,
#: what Oozie takes for an expression or for the end of a filter, and a mark of the `hdfs` package.
_RESERVED = frozenset("/:*?[]{};=#")
#: Invisible, unassigned and private characters, and surrogates: a terminal, a database or XML
#: refuses them.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

#: In a distinguished name: bytes of UTF-8 as hexadecimal pairs, or one character.
_ESCAPED = re.compile(r"(?P<hex>(?:\\[0-9A-Fa-f]{2})+)|\\.", re.DOTALL)


class NoUserNameError(ValueError):
    """No user can have this name; the message says why, and what to set."""


@dataclass(frozen=True, slots=True)
class UserNames:
    """The site's rule for names that HDFS has not confirmed: those of proxies and tokens.

    Args:
        pattern: the expression in which the whole name is found.
        realms: what is taken off from names of proxies: `alice@EXAMPLE.COM`, `EXAMPLE\\alice`.
    """

    pattern: str = HADOOP_USER_PATTERN
    realms: tuple[str, ...] = ()

    def of_proxy(self, name: str) -> str:
        """Return the user whom a proxy names, without a realm that it has added.

        Raises:
            NoUserNameError: no user of this site can have the name.
        """
        known = {realm.casefold() for realm in self.realms}
        short, at, realm = name.rpartition("@")
        if at and realm.casefold() in known:
            return self.claimed(short)
        domain, backslash, short = name.partition("\\")
        if backslash and domain.casefold() in known:
            return self.claimed(short)
        return self.claimed(name)

    def claimed(self, name: str) -> str:
        """Return a name that a proxy or a token gives a user, if it is one here.

        Raises:
            NoUserNameError: no user of this site can have the name.
        """
        safe_user(name)
        if not re.search(self.pattern, name):
            raise NoUserNameError(
                f"{name!r} does not fit the pattern of user names, {self.pattern}: if it is a user "
                "of HDFS, set gateway.user_pattern as dfs.webhdfs.user.provider.user.pattern; if a "
                "proxy has added a realm, name the realm in gateway.user_realms"
            )
        return name


def folded(name: str) -> str:
    """Return one spelling for all that a directory takes for the same user (RFC 4514, RFC 4518).

    It serves for counting only: escapes, case, forms of characters and spaces make no difference.
    """
    plain = unicodedata.normalize("NFKC", _ESCAPED.sub(_unescaped, name)).casefold()
    seen = "".join(char for char in plain if char.isspace() or not _is_unprintable(char))
    return unicodedata.normalize("NFKC", " ".join(seen.split()))


def _unescaped(found: re.Match[str]) -> str:
    pairs = found[0].replace("\\", "")
    return bytes.fromhex(pairs).decode("utf-8", "replace") if found["hex"] else pairs


def safe_user(name: str) -> str:
    """Return a name that can stand in a path, an XML document, a header and the database.

    Raises:
        NoUserNameError: it cannot.
    """
    for trouble in _troubles(name):
        raise NoUserNameError(f"{name[:_SHOWN_CHARS]!r} can be no user here: {trouble}")
    return name


def _troubles(name: str) -> Iterator[str]:
    if not name.strip("."):
        yield "it is no name of a directory"
    if name.startswith("-"):
        yield "a command would take it for an option"
    if name != name.strip():
        yield "it begins or ends with a space"
    if (length := len(name.encode(errors="replace"))) > MAX_USER_BYTES:
        yield f"it has {length} bytes, and a name in HDFS has at most {MAX_USER_BYTES}"
    if wrong := _RESERVED.intersection(name):
        yield f"{' '.join(sorted(wrong))} has a meaning of its own in Hadoop or Oozie"
    if any(map(_is_unprintable, name)):
        yield "it has characters that nobody sees"


def _is_unprintable(char: str) -> bool:
    return unicodedata.category(char) in _UNPRINTABLE or (char.isspace() and char != " ")
