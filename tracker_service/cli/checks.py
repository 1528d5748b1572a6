"""The verbs for checks of HTTP endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracker_service.cli import tables
from tracker_service.cli.options import NotDone, output_option, with_tracker
from tracker_service.cli.service import with_settings

if TYPE_CHECKING:
    from tracker_service.checks.check import Check
    from tracker_service.checks.probe import Probe
    from tracker_service.client import TrackerClient
    from tracker_service.settings import Settings


@click.group()
def checks() -> None:
    """Look at checks of HTTP endpoints, and try what a file of checks says.

    \b
    Example:
      tracker checks list
    """


@checks.command("list")
@click.option("--down", is_flag=True, help="Only checks that are down.")
@output_option
@with_tracker
def list_checks(tracker: TrackerClient, down: bool, output: str) -> None:
    """List the checks with their states, and the files that cannot be used.

    \b
    Example:
      tracker checks list --down
    """
    answer = tracker.checks()
    found = [check for check in answer["checks"] if not down or check["state"] == "down"]
    if output == "json":
        tables.show_json({**answer, "checks": found})
        return
    rows = [
        (c["name"], c["state"], c["last-run"] or "", c["latency-ms"], c["error"] or "")
        for c in found
    ]
    click.echo(tables.table(("CHECK", "STATE", "LAST RUN", "MS", "ERROR"), rows))
    for file in answer["files"]:
        if file["rule"]:
            place = f"{file['name']}, line {file['line']}"
            click.echo(tables.plain(f"{place}: {file['rule']}: {file['message']}"), err=True)


@checks.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--fix", is_flag=True, help="Print the repaired file.")
@click.option(
    "--secrets-directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory of the files that `secret:NAME` names.",
)
def lint(file: Path, fix: bool, secrets_directory: Path | None) -> None:
    """Say whether a file of checks can be used; name the line and the rule if not.

    With --fix, a bare `cron_schedule` is put in quotes, and keys below `post_endpoint` or
    `post_service` go beside it. The exit code is 1 if the file (repaired, with --fix) cannot be
    used.

    \b
    Example:
      tracker checks lint --fix checks.yml > repaired.yml
    """
    from tracker_service.checks.files import read_file  # noqa: PLC0415
    from tracker_service.checks.grammar import Secrets  # noqa: PLC0415
    from tracker_service.checks.repair import repaired  # noqa: PLC0415

    text = _text(file)
    if fix:
        text = repaired(text)
        click.echo(text, nl=False)
    found = read_file(str(file), text, Secrets(secrets_directory))
    if fault := found.fault:
        raise NotDone(f"{file}, line {fault.line}: {fault.rule}: {fault.message}")
    click.echo(f"{file}: {len(found.checks)} checks", err=True)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotDone(f"{file}: {error}") from error


@checks.command("run")
@click.argument("endpoint")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of checks. Default: the files in checks.directories.",
)
@with_settings
def run_check(chosen: Settings, endpoint: str, file: Path | None) -> None:
    """Try one check now, from this machine, and show each step; nothing is recorded or posted.

    The exit code is 1 if the check fails.

    \b
    Example:
      tracker checks run www.example.com/health --file checks.yml
    """
    from tracker_service.checks.probe import Prober  # noqa: PLC0415
    from tracker_service.checks.reach import Reach  # noqa: PLC0415

    check = _named(chosen, endpoint, file)
    found = Prober(Reach(chosen.checks.allowed_networks)).probe(check)
    _show(check, found)
    if not found.is_ok:
        raise NotDone(f"{check.name}: {found.error}")


def _named(chosen: Settings, endpoint: str, file: Path | None) -> Check:
    """Return the check of a name from a file, or from all files of the settings."""
    from tracker_service.checks.check import shown_url  # noqa: PLC0415
    from tracker_service.checks.files import read_file  # noqa: PLC0415
    from tracker_service.checks.grammar import Secrets  # noqa: PLC0415

    secrets, lenient = Secrets(chosen.checks.secrets_directory), chosen.checks.lenient
    directories = chosen.checks.directories
    files = (
        [file] if file else [path for each in directories for path in sorted(each.glob("*.yml"))]
    )
    for path in files:
        found = read_file(str(path), _text(path), secrets, is_lenient=lenient)
        if fault := found.fault:
            click.echo(f"{path}, line {fault.line}: {fault.rule}: {fault.message}", err=True)
        for check in found.checks:
            if check.name in (endpoint, shown_url(endpoint)):
                return check
    raise NotDone(f"{endpoint}: no file has this check; looked at {len(files)} files")


def _show(check: Check, found: Probe) -> None:
    from tracker_service.checks.check import shown_url  # noqa: PLC0415

    click.echo(f"{check.request.method} {tables.plain(shown_url(check.request.url))}")
    for phase, milliseconds in found.phases.items():
        click.echo(f"  {phase:12} {milliseconds:9.3f} ms")
    if found.certificate_until:
        click.echo(f"  certificate  until {found.certificate_until.isoformat()}")
    if found.status is not None:
        click.echo(f"  status       {found.status}")
    for name, value in found.values.items():
        click.echo(f"  {tables.plain(name)} = {tables.plain(repr(value))}")
    click.echo(f"  {'ok' if found.is_ok else 'failed'}")
