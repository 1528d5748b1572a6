"""The options of all verbs that ask a service, and their exit codes for errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from urllib.parse import urlsplit

import click

from tracker_service.cli.login import login
from tracker_service.domain.urls import leads_to_this_machine

DEFAULT_URL = "http://127.0.0.1:8080"

_LOGIN = (
    click.option(
        "--user",
        envvar="TRACKER_USER",
        show_envvar=True,
        help="Your user name at the gateway. Default: the one in ~/.netrc, or of your account.",
    ),
    click.option(
        "--password-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File with your password. Default: TRACKER_PASSWORD, ~/.netrc, or a prompt.",
    ),
)
_URL = click.option(
    "--url",
    envvar="TRACKER_URL",
    show_envvar=True,
    default=DEFAULT_URL,
    show_default=True,
    help="URL of the tracker service.",
)
ca_file_option = click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="TRACKER_CA_FILE",
    show_envvar=True,
    help="PEM file with the authority that signed the service's certificate.",
)

output_option = click.option(
    "--output",
    type=click.Choice(["json", "table"]),
    default="table",
    show_default=True,
    help="`json` for programs, `table` for people.",
)


class _Told(click.ClickException):
    """An error whose words may be those of a job or of a server."""

    def format_message(self) -> str:
        """Return the words without what controls a terminal."""
        return "".join(c if c.isprintable() or c == "\n" else "?" for c in self.message)


class NotDone(_Told):
    """The answer is no: exit code 1."""

    exit_code = 1


class CannotTell(_Told):
    """There is no answer: exit code 2."""

    exit_code = 2


def with_login(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options for user and password."""
    for option in reversed(_LOGIN):
        function = option(function)
    return function


def with_tracker(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options for service, user and password; call the function with a client."""

    @wraps(function)
    def run(
        url: str, ca_file: Path | None, user: str | None, password_file: Path | None, **more: object
    ) -> None:
        from tracker_service.client import TrackerClient  # noqa: PLC0415

        known = login(url, user, password_file)
        _warn_of_plain_http(url)
        client = TrackerClient(url, known.user, known.password, ca_file)
        with errors_in_one_line(), client:
            function(client, **more)

    return _URL(ca_file_option(with_login(run)))


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Show an error of the service in one line; exit with 1 for a 404, otherwise with 2."""
    from tracker_service.client import TrackerClientError  # noqa: PLC0415

    try:
        yield
    except TrackerClientError as error:
        raise (NotDone if error.status == 404 else CannotTell)(error.message) from error


def _warn_of_plain_http(url: str) -> None:
    if urlsplit(url).scheme == "http" and not leads_to_this_machine(url):
        click.echo(f"Warning: {url} is not encrypted; your password can be read", err=True)
