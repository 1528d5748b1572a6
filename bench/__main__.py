"""Run the measurements: `python -m bench`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bench import (
    big_log,
    checks,
    copying,
    decoding,
    events,
    ledger,
    notifications,
    reading,
    scanned_copies,
    scanning,
    stored_jobs,
    teraslice,
    thousand_jobs,
    wrong_credentials,
)
from bench.scale import running as scale

MEASUREMENTS = {
    "scale": scale.main,
    "stored_jobs": stored_jobs.main,
    "teraslice": teraslice.main,
    "thousand_jobs": thousand_jobs.main,
    "big_log": big_log.main,
    "checks": checks.main,
    "copying": copying.main,
    "decoding": decoding.main,
    "events": events.main,
    "ledger": ledger.main,
    "notifications": notifications.main,
    "scanning": scanning.main,
    "scanned_copies": scanned_copies.main,
    "reading": reading.main,
    "wrong_credentials": wrong_credentials.main,
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(tuple(MEASUREMENTS)))
@click.option("--only", metavar="ROWS", help=f"Rows of `scale`: {', '.join(scale.ROWS)}.")
def main(names: Sequence[str], only: str | None) -> None:
    """Run all measurements, or only the named ones.

    \b
    Examples:
      python -m bench big_log
      python -m bench scale --only peer,10k
    """
    rows = only.split(",") if only else []
    if unknown := set(rows) - set(scale.ROWS):
        raise click.BadParameter(f"there is no {', '.join(sorted(unknown))}", param_hint="--only")
    for name in names or MEASUREMENTS:
        if name == "scale":
            scale.main(rows)
        else:
            MEASUREMENTS[name]()


main()
