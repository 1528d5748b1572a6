"""Names of users: which ones may be one, and what a proxy adds to them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

#: Hadoop's default of `dfs.webhdfs.user.provider.user.pattern` (hdfs-default.xml).
HADOOP_USER_PATTERN = r"^[A-Za-z_][A-Za-z0-9._-]*[$]?$"
MAX_USER_CHARS = 64  #: the columns of the database have no more
#: What separates directories or stands in no HDFS path, what Hadoop's shell takes for a pattern,
#: and what Oozie takes for an expression or for the end of a filter.
_RESERVED = frozenset("/:*?[]{};=")
#: What is invisible, unassigned or private, and surrogates: terminals, databases or XML refuse it.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class NoUserNameError(ValueError):
    """No user can have this name; the message says why, and what to set."""


@dataclass(frozen=True, slots=True)
class UserNames:
    """The site's rule for names of users.

    Args:
        pattern: Java calls it `dfs.webhdfs.user.provider.user.pattern`: names that the cluster has not
            confirmed itself, those of proxies and tokens, must match it.
        realm: what is taken off from behind the `@` of such names; `*` for whatever stands there.
    """

    pattern: str = HADOOP_USER_PATTERN
    realm: str | None = None

    def claimed(self, name: str) -> str:
        """Return the user whom a proxy or a token names.

        Raises:
            NoUserNameError: no user of this site can have the name.
        """
        short, at, realm = name.rpartition("@")
        user = short if at and self.realm in ("*", realm) else name
        safe_user(user)
        if not re.search(self.pattern, user):
            hint = f" or gateway.user_realm to {realm!r}, which is then taken off" if at else ""
            raise NoUserNameError(
                f"{user!r} does not match the pattern of user names, {self.pattern}; if HDFS takes "
                f"it for a user, set gateway.user_pattern as dfs.webhdfs.user.provider.user.pattern"
                f"{hint}"
            )
        return user


def safe_user(name: str) -> str:
    """Return a name that can stand in a path, an XML document, a header and the database.

    Raises:
        NoUserNameError: it cannot.
    """
    for trouble in _troubles(name):
        raise NoUserNameError(f"{name[:MAX_USER_CHARS]!r} can be no user here: {trouble}")
    return name


def _troubles(name: str) -> Iterator[str]:
    if not name.strip("."):
        yield "it is no name of a directory"
    if name != name.strip():
        yield "it begins or ends with a space"
    if len(name) > MAX_USER_CHARS:
        yield f"it has {len(name)} characters, more than the {MAX_USER_CHARS} that are kept"
    if wrong := _RESERVED.intersection(name):
        yield f"{' '.join(sorted(wrong))} has a meaning of its own in Hadoop"
    if any(
        unicodedata.category(char) in _UNPRINTABLE or (char.isspace() and char != " ")
        for char in name
    ):
        yield "it has characters that nobody sees"
