"""The verb `doctor`, which checks everything that the service needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracker_service.cli import tables
from tracker_service.cli.login import account, login
from tracker_service.cli.options import ca_file_option, output_option, with_login

if TYPE_CHECKING:
    from tracker_service.doctor import CheckResult


@click.command()
@click.option(
    "--url",
    envvar="TRACKER_URL",
    show_envvar=True,
    help="URL of the tracker service. Default: the address in the settings.",
)
@ca_file_option
@with_login
@output_option
@click.pass_obj
def doctor(config: Path | None, /, output: str, **caller: Any) -> None:  # noqa: ANN401
    """Check everything that the service needs, one by one.

    Each failure comes with its remedy. The checks use the service's settings and your login at the
    gateway; without Knox, the service's login on your behalf. The exit code is 1 if a check shows
    FAIL, otherwise 0.

    \b
    Example:
      TRACKER_GATEWAY__URL=https://knox:8443/gateway/default tracker doctor --user guest
    """
    # Keep the libraries' warnings about failed tries out of the output.
    logging.getLogger().addHandler(logging.NullHandler())
    found = []
    for finding in _findings(config, **caller):
        found.append(finding)
        if output == "table":
            click.echo(f"{finding.level:4} {tables.plain(finding.message)}")
    if output == "json":
        tables.show_json(
            [{"check": f.check, "level": f.level, "message": f.message} for f in found]
        )
    if any(finding.level == "FAIL" for finding in found):
        click.get_current_context().exit(1)


def _findings(
    config: Path | None,
    *,
    url: str | None,
    ca_file: Path | None,
    user: str | None,
    password_file: Path | None,
) -> Iterator[CheckResult]:
    from tracker_service import settings  # noqa: PLC0415
    from tracker_service.doctor import examine, results  # noqa: PLC0415
    from tracker_service.errors import ConfigError  # noqa: PLC0415
    from tracker_service.sources.credentials import BasicCredential, OnBehalf  # noqa: PLC0415

    try:
        chosen = settings.load(config)
    except ConfigError as error:
        yield results.fail("settings", f"the settings are wrong: {error}")
        return
    if chosen.gateway.is_direct:
        yield from examine(chosen, OnBehalf(user or account()), url, ca_file)
        return
    known = login(chosen.gateway.base, user, password_file)
    yield from examine(chosen, BasicCredential(known.user, known.password), url, ca_file)
