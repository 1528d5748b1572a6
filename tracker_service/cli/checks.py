"""The verb that checks whether the service can do its work here."""

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
    help="Where the tracker service is; else where the settings put it.",
)
@ca_file_option
@with_login
@output_option
@click.pass_obj
def doctor(config: Path | None, /, output: str, **caller: Any) -> None:  # noqa: ANN401
    """Check each way that the service needs, one by one.

    What is wrong is told with how to mend it. The settings are those of the service; the gateway
    is asked as you; without Knox, the services are asked on your behalf. The exit code is 0 if
    nothing is wrong but what is warned of, otherwise 1.

    \b
    Example:
      TRACKER_GATEWAY__URL=https://knox:8443/gateway/default tracker doctor --user guest
    """
    # The libraries' own words about a failed try would stand between the sentences.
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
