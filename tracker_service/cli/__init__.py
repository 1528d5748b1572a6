"""The command `tracker`.

Each verb imports what it needs when it runs, so that most verbs start at once.
"""

from __future__ import annotations

from pathlib import Path

import click

from tracker_service.cli import access, jobs, logs, saved, service, why
from tracker_service.cli.checks import checks
from tracker_service.cli.completion import completion
from tracker_service.cli.doctor import doctor
from tracker_service.cli.exporters import exporter
from tracker_service.cli.keys import keys
from tracker_service.cli.ledger import ledger
from tracker_service.cli.notify import deliveries, notify
from tracker_service.cli.tokens import notify_token


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="TRACKER_CONFIG",
    help="YAML file with the service's settings. Default: config/tracker.yml, if it exists.",
)
@click.version_option(package_name="tracker-service")
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """Follow Oozie jobs through Knox, and save the logs of jobs that fail.

    \b
    Example, without a cluster:
      tracker run --sandbox
    With one:
      TRACKER_GATEWAY__URL=https://knox:8443/gateway/sandbox tracker run
    Follow a job to its end:
      oozie job -run -config job.properties | tracker track --wait -
    """
    context.obj = config


for _command in (
    *service.COMMANDS,
    *jobs.COMMANDS,
    *why.COMMANDS,
    *logs.COMMANDS,
    *saved.COMMANDS,
    notify_token,
    notify,
    deliveries,
    access.give_credential,
    keys,
    ledger,
    checks,
    doctor,
    exporter,
    completion,
):
    main.add_command(_command)
