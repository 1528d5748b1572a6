"""Kill the service again and again: `python -m tests.crashes`."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import click

from tests.crashes.databases import NAMES
from tests.crashes.driver import Order, run


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", default=1000, show_default=True, help="How many processes to kill.")
@click.option("--seed", type=int, help="Seed of all random choices; printed, to repeat a run.")
@click.option(
    "--database",
    type=click.Choice(NAMES),
    default="sqlite",
    show_default=True,
    help="A throw-away database; a server is killed, too.",
)
@click.option("--workers", default=4, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Directory for logs and database.")
def main(kills: int, seed: int | None, database: str, workers: int, keep: Path | None) -> None:
    """Kill the processes of the service at random moments and at each step of their work.

    Meanwhile clients post jobs. At the end, the run checks from outside that no id answered with
    200 is lost and that nothing was done twice. Otherwise the exit status is 1.

    \b
    Example:
      python -m tests.crashes --kills 200 --seed 7 --database postgresql
    """
    seed = random.randrange(10**6) if seed is None else seed
    print(f"seed {seed}, {database}, {workers} workers", file=sys.stderr)
    order = Order(kills=kills, seed=seed, database=database, workers=workers)
    with tempfile.TemporaryDirectory(prefix="tracker-crashes-") as home:
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
        report = run(order, (keep or Path(home)).absolute(), sys.stderr.write)
    print(report)
    sys.exit(1 if report.problems else 0)


if __name__ == "__main__":
    main()
