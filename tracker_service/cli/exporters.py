"""The verb `exporter`: export one system alone, without the service."""

from __future__ import annotations

import os
from typing import Literal

import click


@click.group()
def exporter() -> None:
    """Show other systems to Prometheus, without the rest of the service."""


@exporter.command()
@click.option(
    "--log-format",
    type=click.Choice(["console", "json", "bunyan"]),
    default="console",
    show_default=True,
    help="How log lines are written.",
)
@click.option("--without-bare-names", is_flag=True, help="Leave out names such as `processed`.")
@click.option("--without-extended", is_flag=True, help="Leave out what release 0.4.0 did not have.")
def teraslice(
    log_format: Literal["console", "json", "bunyan"],
    without_bare_names: bool,
    without_extended: bool,
) -> None:
    """Export the controllers of one Teraslice master, in place of teraslice-exporter.

    \b
    Its variables:
      TERASLICE_URL           the master, with a path prefix where there is one (required)
      TERASLICE_DISPLAY_URL   the label `url`; default: TERASLICE_URL
      PORT                    3000
      TERASLICE_QUERY_DELAY   milliseconds from one update to the next: 30000
      DEBUG                   true: write more log lines
      NODE_EXTRA_CA_CERTS     PEM with a further authority
    Example:
      TERASLICE_URL=http://teraslice:5678 tracker exporter teraslice --log-format bunyan
    """
    from tracker_service import logging  # noqa: PLC0415
    from tracker_service.cli import running  # noqa: PLC0415
    from tracker_service.engine.clock import utc_now  # noqa: PLC0415
    from tracker_service.exporters.alone import Options, serve  # noqa: PLC0415
    from tracker_service.exporters.families import families  # noqa: PLC0415

    logging.configure("DEBUG" if os.environ.get("DEBUG") == "true" else "INFO", log_format)
    shown = families(with_bare=not without_bare_names, with_extended=not without_extended)
    with running.errors_in_one_line():
        serve(Options.of(os.environ), shown, utc_now)
