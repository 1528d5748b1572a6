"""Run a PgBouncer in front of a PostgreSQL server, for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from tests.databases import NoDatabase
from tests.ports import free_port
from tests.waiting import until
from tracker_service.supervisor import die_with_parent

SETTINGS = """
[databases]
* = host={host} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {sessions}
max_client_conn = 200
"""


@contextmanager
def pooled(url: str, home: Path, mode: str = "transaction", sessions: int = 3) -> Iterator[str]:
    """Run a pooler for the length of the block.

    Args:
        url: of a database of PostgreSQL, reached through a socket.
        mode: when another client gets a session of the server.
        sessions: of the server, for all clients.

    Yields:
        the URL of the same database through the pooler.

    Raises:
        NoDatabase: there is no PgBouncer here.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH')}:/usr/sbin")
    if not program:
        raise NoDatabase("there is no pgbouncer (apt-get install pgbouncer)")
    behind, port = make_url(url), free_port()
    settings, log = home / "pgbouncer.ini", home / "pgbouncer.log"
    settings.write_text(
        SETTINGS.format(host=behind.query["host"], port=port, mode=mode, sessions=sessions)
    )
    # It refuses to run as root; nobody else may read the directory of a test.
    readable = ["--user", "nobody"] if os.geteuid() == 0 else []
    for directory in (home, *home.parents[:3]):
        directory.chmod(directory.stat().st_mode | 0o055)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *readable, str(settings)],
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - calls prctl and nothing else
        )
    through = behind.set(host="127.0.0.1", port=port, query={})
    try:
        until(lambda: process.poll() is not None or _answers(port))
        if process.poll() is not None:
            raise NoDatabase(f"pgbouncer does not start: {log.read_text()[-500:]}")
        yield through.render_as_string(hide_password=False)
    finally:
        process.terminate()
        process.wait(60)


def _answers(port: int) -> bool:
    try:
        psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="pgbouncer").close()
    except psycopg.OperationalError as error:
        return "not allowed" in str(error)
    return True
