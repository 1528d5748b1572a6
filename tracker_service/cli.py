"""The command `tracker`."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click

from tracker_service import logging, settings, supervisor
from tracker_service import serve as gunicorn_server
from tracker_service.bootstrap import build_service, build_worker
from tracker_service.errors import ConfigError, TrackerError
from tracker_service.sandbox import server as sandbox_server
from tracker_service.sandbox.cluster import Cluster
from tracker_service.store.engine import Store


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="TRACKER_CONFIG",
    help="YAML file with settings; config/tracker.yml is read where it is there.",
)
@click.version_option(package_name="tracker-service")
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """Follow Oozie jobs through Knox and save the logs of those that failed.

    \b
    Example, without a cluster:
      tracker run --sandbox
    With one:
      TRACKER_GATEWAY__URL=https://knox:8443/gateway/sandbox tracker run
    """
    os.umask(0o077)  # whatever this makes is nobody else's to read
    try:
        context.obj = settings.load(config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    if config:  # the processes that `tracker run` starts read the same file
        os.environ["TRACKER_CONFIG"] = str(config)
    logging.configure(context.obj.log_level, context.obj.log_format)


@main.command()
@click.option("--sandbox", "with_sandbox", is_flag=True, help="Start a stand-in cluster as well.")
@click.pass_obj
def run(chosen: settings.Settings, with_sandbox: bool) -> None:
    """Run everything: the API, one worker, and with --sandbox a stand-in cluster.

    \b
    Example:
      tracker run --sandbox
    """
    with _told_in_one_line():
        lock = supervisor.lock_directory(chosen.state_dir)
        commands = [["worker"], ["serve"]]
        if with_sandbox:
            chosen = _with_sandbox(chosen)
            commands.insert(0, ["sandbox", "--bind", urlsplit(chosen.gateway.base).netloc])
        Store(chosen.store_url).upgrade()
        supervisor.Supervisor(commands, _greeting(chosen, with_sandbox)).run()
        lock.close()


@main.command()
@click.pass_obj
def serve(chosen: settings.Settings) -> None:
    """Serve the API alone, with gunicorn.

    \b
    Example:
      TRACKER_SERVE__BIND=0.0.0.0:8080 tracker serve
    """
    with _told_in_one_line():
        build_service(chosen).store.close()  # so that a wrong setting is told here, once
        gunicorn_server.serve(chosen)


@main.command()
@click.pass_obj
def worker(chosen: settings.Settings) -> None:
    """Poll jobs and save logs, until stopped.

    \b
    Example:
      tracker worker
    """
    with _told_in_one_line():
        build_worker(chosen).run()


@main.command("sandbox")
@click.option("--bind", default=settings.SANDBOX_BIND, show_default=True, metavar="HOST:PORT")
def run_sandbox(bind: str) -> None:
    """Stand in for a cluster: Knox, Oozie, YARN and HDFS in one process on loopback.

    \b
    Example:
      tracker sandbox --bind 127.0.0.1:8099
    """
    sandbox_server.serve(bind)


@main.group("db")
def database() -> None:
    """Look after the database."""


@database.command()
@click.pass_obj
def upgrade(chosen: settings.Settings) -> None:
    """Bring the schema to this version; `tracker run` does it by itself.

    \b
    Example:
      TRACKER_STORE__URL=sqlite:////var/lib/tracker/tracker.db tracker db upgrade
    """
    with _told_in_one_line():
        Store(chosen.store_url).upgrade()
        click.echo("the schema is up to date")


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    """Show what the user can mend as one line, not as a stack of calls."""
    try:
        yield
    except TrackerError as error:
        raise click.ClickException(str(error)) from error


def _with_sandbox(chosen: settings.Settings) -> settings.Settings:
    """Point everything at a fresh sandbox.

    The stand-in cluster begins anew with each start, so the database of what happened there does.
    """
    port = _free_port(int(settings.SANDBOX_BIND.rpartition(":")[2]))
    os.environ["TRACKER_GATEWAY__URL"] = f"http://127.0.0.1:{port}/gateway/sandbox"
    if not chosen.store.url:
        for file in chosen.state_dir.glob("sandbox.db*"):
            file.unlink()
        database = chosen.state_dir.absolute() / "sandbox.db"
        os.environ["TRACKER_STORE__URL"] = f"sqlite:///{database}"
    return settings.load(_config_file())


def _config_file() -> Path | None:
    name = os.environ.get("TRACKER_CONFIG")
    return Path(name) if name else None


def _free_port(wanted: int) -> int:
    """Return the wanted port of this machine, or any other if something has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _greeting(chosen: settings.Settings, with_sandbox: bool) -> supervisor.Greeting:
    """Return what to say once the service answers."""
    url = f"http://{chosen.serve.bind}"
    told = [f"Tracker: {url}"]
    if not with_sandbox:
        told.append(f"Gateway: {chosen.gateway.base}")
    else:
        job = next(job.job_id for job in Cluster().ready_made if job.definition.name == "fails")
        curl = "curl -u guest:guest-password"
        told += [
            "",
            "Try it: a shell action that fails with a Python traceback",
            f"  {curl} -H 'Content-Type: text/plain' -d {job} {url}/api/task/track/",
            f"  {curl} {url}/api/job/{job}",
            f"  {curl} {url}/api/job/{job}/logs   # saved after about 10 s",
        ]
    return supervisor.Greeting(f"{url}/readyz", "\n".join(told))


if __name__ == "__main__":
    main()
