"""Find the user name and password: in options, the environment, `.netrc`, or by a prompt."""

from __future__ import annotations

import netrc
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import click

from tracker_service.domain.urls import normal_host

PASSWORD_VARIABLE = "TRACKER_PASSWORD"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and password of the gateway. Never printed with the password."""

    user: str
    password: str = field(repr=False)


def login(url: str, user: str | None, password_file: Path | None) -> Login:
    """Return the login from the first source that has one.

    The sources are the password file, `TRACKER_PASSWORD`, `.netrc`, and a prompt. Without a user
    name, the one in `.netrc` is taken, or that of the account of this process.

    Raises:
        click.UsageError: there is no password, and no terminal to ask for one.
    """
    password = _from_file(password_file) if password_file else os.environ.get(PASSWORD_VARIABLE)
    kept = None if password and user else _from_netrc(url, user)
    user = user or (kept and kept.user) or account()
    if not password and kept and kept.user == user:
        password = kept.password
    return Login(user, password or _asked(url, user))


def _from_file(file: Path) -> str:
    try:
        password = file.read_text().partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--password-file {file} cannot be read: {error}") from error
    if not password:
        raise click.UsageError(f"--password-file {file} is empty: write the password in it")
    return password


def _authenticators(known: netrc.netrc, host: str) -> tuple[str, str, str] | None:
    """Return the entry of a host, however its name is written there."""
    wanted = _normal(host)
    name = next((name for name in known.hosts if _normal(name) == wanted), host)
    return known.authenticators(name)


def _normal(host: str) -> str:
    try:
        return normal_host(host)
    except ValueError:
        return host


def _from_netrc(url: str, user: str | None) -> Login | None:
    """Return the login of `.netrc` for the host of a URL, unless it is of another user."""
    named = os.environ.get("NETRC")
    file = Path(named) if named else Path.home() / ".netrc"
    if not file.is_file():
        return None
    try:
        # Without a name, the module reads ~/.netrc and checks that nobody else can read it.
        found = _authenticators(netrc.netrc(named), urlsplit(url).hostname or "")
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be used: {error}") from error
    if not found or not found[2] or (user and found[0] != user):
        return None
    return Login(found[0], found[2])


def account() -> str:
    """Return the name of the account of this process."""
    import getpass  # noqa: PLC0415

    return getpass.getuser()


def _asked(url: str, user: str) -> str:
    """Ask at the terminal, even where standard input is a pipe."""
    import getpass  # noqa: PLC0415

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError as error:
        raise click.UsageError(
            f"no password of {user} for {url}: set {PASSWORD_VARIABLE}, give --password-file, or "
            "write it in ~/.netrc"
        ) from error
    return getpass.getpass(f"Password of {user} for {url}: ")
