"""Run the parts of the service in this process or below it, for the verbs of `service`.

Each function imports what it alone needs, so that other verbs start fast.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click

from tracker_service import listening, logging, settings, supervisor
from tracker_service.errors import ConfigError, TrackerError
from tracker_service.settings.binds import binds

#: What the ledger of a sandbox gives out: a job for each day of the last months.
_SANDBOX_SOURCES = """\
start_date: 2026-01-01
sources:
- bucket: sandbox
  experiment: demo
  datatype: lines
  target_datasets: {tmp: tmp_demo, raw: raw_demo}
"""
_STOP_S = 10.0  #: for a child to end once the gateway has answered it


def load_settings(config: Path | None) -> settings.Settings:
    """Read the settings, configure logging, and restrict the files that this process writes.

    Raises:
        ConfigError: a setting is wrong.
        click.BadParameter: the file does not exist.
    """
    if config and not config.is_file():
        raise click.BadParameter(f"there is no file {config}", param_hint="--config")
    os.umask(0o077)  # no other user may read the files that this process writes
    chosen = settings.load(config)
    if config:  # the processes that `tracker run` starts read the same file
        os.environ["TRACKER_CONFIG"] = str(config)
    logging.configure(chosen.log_level, chosen.log_format)
    return chosen


def run_all(chosen: settings.Settings, with_sandbox: bool) -> None:
    """Run the API, one worker and, on request, a sandbox as child processes."""
    from tracker_service import metrics  # noqa: PLC0415

    lock = supervisor.lock_directory(chosen.state_dir)
    listening.check_addresses(chosen.serve.addresses)
    _import_for_children(with_sandbox)
    commands = [["worker", "--only"], ["serve"]]
    if with_sandbox:
        chosen = _with_sandbox(chosen)
        commands.insert(0, ["sandbox", "--bind", urlsplit(chosen.gateway.base).netloc])
    supervisor.run_to_end(_run_command, ["db", "upgrade"])
    metrics.share(chosen.state_dir.absolute() / "metrics")
    greeting, stop_s = _greeting(chosen, with_sandbox), chosen.gateway.longest_answer_s + _STOP_S
    supervisor.Supervisor(_run_command, commands, greeting, stop_s=stop_s).run()
    lock.close()


def _import_for_children(with_sandbox: bool) -> None:
    """Import the modules that the child processes share, and compile the rules."""
    from tracker_service import bootstrap, serve  # noqa: PLC0415, F401
    from tracker_service.causes.rules import own_rules  # noqa: PLC0415

    own_rules()

    if with_sandbox:
        from tracker_service.sandbox import server  # noqa: PLC0415, F401


def _run_command(arguments: Sequence[str]) -> None:
    from tracker_service.cli import main  # noqa: PLC0415

    main(arguments, prog_name="tracker")


def serve(chosen: settings.Settings) -> None:
    """Serve the API until SIGTERM.

    Raises:
        ConfigError: a setting is wrong.
    """
    from tracker_service import serve as gunicorn_server  # noqa: PLC0415
    from tracker_service.bootstrap import build_service  # noqa: PLC0415

    listening.check_addresses(chosen.serve.addresses)
    build_service(chosen).store.close()  # reports a wrong setting here, and once
    gunicorn_server.serve(chosen)


def run_worker(chosen: settings.Settings, *, is_only: bool) -> None:
    """Poll jobs and save logs until SIGTERM or SIGINT.

    Args:
        is_only: no other worker of this state directory lives.
    """
    from tracker_service.bootstrap import build_worker  # noqa: PLC0415

    supervisor.keep_memory_private()
    supervisor.take_short_turns()
    build_worker(chosen).run(noted_in=chosen.state_dir / "worker" if is_only else None)


def run_sandbox(bind: str) -> None:
    """Serve a sandbox on `<host>:<port>` until it is stopped."""
    from tracker_service.sandbox import server  # noqa: PLC0415

    try:
        binds(bind)
    except ValueError as error:
        raise ConfigError(f"--bind: {error}") from error
    listening.check_addresses(bind)
    server.serve(bind)


def upgrade(chosen: settings.Settings) -> None:
    """Upgrade the schema of the database to this version."""
    from tracker_service.store.database import Store  # noqa: PLC0415

    Store(chosen.store_url).upgrade()


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Print an error that the user can mend as one line, without a traceback."""
    try:
        yield
    except TrackerError as error:
        raise click.ClickException(str(error)) from error


def _with_sandbox(chosen: settings.Settings) -> settings.Settings:
    """Return settings that point at a fresh sandbox.

    The sandbox loses its jobs at each start, so the database starts empty too.
    """
    port = _free_port(int(settings.SANDBOX_BIND.rpartition(":")[2]))
    os.environ["TRACKER_GATEWAY__URL"] = f"http://127.0.0.1:{port}/gateway/sandbox"
    # Events may go to the receiver of the sandbox.
    os.environ.setdefault("TRACKER_SINKS__ALLOWED_HOSTS", '["127.0.0.1"]')
    os.environ.setdefault("TRACKER_SINKS__ALLOWED_NETWORKS", '["127.0.0.0/8"]')
    master = {"name": "sandbox", "url": f"http://127.0.0.1:{port}/teraslice", "interval": 5}
    os.environ["TRACKER_EXPORTERS__TERASLICE"] = json.dumps([master])
    if not chosen.store.url:
        for file in chosen.state_dir.glob("sandbox.db*"):
            file.unlink()
        database = chosen.state_dir.absolute() / "sandbox.db"
        os.environ["TRACKER_STORE__URL"] = f"sqlite:///{database}"
    if "TRACKER_LEDGER__ENABLED" not in os.environ and not chosen.ledger.enabled:
        sources = chosen.state_dir.absolute() / "sandbox-sources.yml"
        sources.write_text(_SANDBOX_SOURCES)
        os.environ["TRACKER_LEDGER__ENABLED"] = "true"
        os.environ["TRACKER_LEDGER__CONFIG"] = str(sources)
    return settings.load(_config_file())


def _config_file() -> Path | None:
    name = os.environ.get("TRACKER_CONFIG")
    return Path(name) if name else None


def _free_port(wanted: int) -> int:
    """Return the wanted port of this machine, or another free one if it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def take_and_report(url: str) -> str:
    """Return a command that takes a job of the ledger and reports it."""
    take = f"curl -sX POST {url}/v2/job/next | cut -d'\"' -f4"
    return f'curl -X POST "{url}/v2/job/update?state=parsing&detail=it+works&id=$({take})"'


def _greeting(chosen: settings.Settings, with_sandbox: bool) -> supervisor.Greeting:
    """Return the text to print once the service answers."""
    address = binds(chosen.serve.bind)[0]
    url = f"http://{address.text}" if address.port else address.text
    lines = [f"Tracker: {url}"]
    if not with_sandbox:
        lines.append(f"Gateway: {chosen.gateway.base}")
    else:
        from tracker_service.sandbox.cluster import Cluster  # noqa: PLC0415

        job = next(job.job_id for job in Cluster().ready_made if job.definition.name == "fails")
        curl = "curl -u guest:guest-password"
        lines += [
            "",
            "Try it: a shell action that fails with a Python traceback",
            f"  {curl} -H 'Content-Type: text/plain' -d {job} {url}/api/task/track/",
            f"  {curl} {url}/api/job/{job}",
            f"  {curl} {url}/api/job/{job}/logs   # saved after about 10 s",
            "or with the command",
            "  export TRACKER_USER=guest TRACKER_PASSWORD=guest-password TRACKER_URL=" + url,
            f"  {sys.argv[0]} track --wait {job}",
            f"  {sys.argv[0]} why {job}",
            "Be told of failed jobs: the receiver of the sandbox prints here what it gets",
            f"  {sys.argv[0]} notify add {_origin(chosen.gateway.base)}/receiver",
            f"Teraslice for Prometheus: curl {url}/metrics/teraslice",
            "Try the ledger: take a job that reports itself and report it, then look at all",
            f"  {take_and_report(url)}",
            f"  curl {url}/status",
            f"All calls: {url}/docs",
        ]
    is_ready = partial(listening.answers, address, "/readyz")
    return supervisor.Greeting(is_ready, "\n".join(lines))
