"""Run the measurements: `python -m bench`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bench import big_log, copying, decoding, notifications, thousand_jobs

MEASUREMENTS = {
    "thousand_jobs": thousand_jobs.main,
    "big_log": big_log.main,
    "copying": copying.main,
    "decoding": decoding.main,
    "notifications": notifications.main,
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(tuple(MEASUREMENTS)))
def main(names: Sequence[str]) -> None:
    """Run all measurements, or those that are named.

    \b
    Example:
      python -m bench big_log
    """
    for name in names or MEASUREMENTS:
        MEASUREMENTS[name]()


main()
