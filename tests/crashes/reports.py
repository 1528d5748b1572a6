"""Kill a process that takes reports a thousand times: `python -m tests.crashes.reports`.

It serves the calls of writers on connections of its own, without gunicorn, so that it can be
started again within moments.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import click
from sqlalchemy import create_engine, text

from tests.crashes.databases import NAMES, database
from tests.crashes.writers import SOURCES, Reports, Writer
from tracker_service import logging
from tracker_service.api.job_calls import JobCallFront
from tracker_service.bootstrap.ledger import build_ledgers
from tracker_service.engine.clock import utc_now
from tracker_service.metrics import Metrics
from tracker_service.quick_calls import QuickCalls
from tracker_service.settings.ledger import LedgerSettings
from tracker_service.store.database import Store
from tracker_service.supervisor import die_with_parent

_WRITERS = 6
_KEPT = (
    "SELECT job_key, update_count, ledger_changes.detail FROM ledger_jobs"
    " JOIN ledger_changes ON ledger_changes.job_id = ledger_jobs.id"
)


def serve(listener: socket.socket, url: str, sources: Path, answered: mmap.mmap) -> None:
    """Answer calls on a socket until this process is killed; count the answers."""
    logging.configure("WARNING", "console")
    settings = LedgerSettings(enabled=True, config=sources)
    ledgers = build_ledgers(settings, Store(url), Metrics(), utc_now)
    assert ledgers

    def app(_environ: object, _start: object) -> tuple[()]:
        return ()

    front = JobCallFront(app, ledgers.calls, (), lambda *_: _count(answered))
    quick = QuickCalls(front, _close, _close, idle_s=60, server="test")
    quick.start()
    while True:
        taken, peer = listener.accept()
        threading.Thread(target=_hand_over, args=(quick, taken, peer), daemon=True).start()


def _count(answered: mmap.mmap) -> None:
    answered[:4] = (int.from_bytes(answered[:4], "little") + 1).to_bytes(4, "little")


def _hand_over(quick: QuickCalls, taken: socket.socket, peer: object) -> None:
    """Give a connection to the quick calls once its first request is there."""
    taken.recv(1, socket.MSG_PEEK)
    connection = SimpleNamespace(
        sock=taken, client=peer, cfg=SimpleNamespace(is_ssl=False), is_http2=False, parser=None
    )
    while not quick.takes(_Hashable(connection)):
        time.sleep(0.001)


class _Hashable:
    def __init__(self, values: Any) -> None:
        self.__dict__.update(vars(values))


def _close(connection: Any) -> None:
    connection.sock.close()


def _forked(listener: socket.socket, url: str, sources: Path, answered: mmap.mmap) -> int:
    answered[:4] = bytes(4)
    pid = os.fork()
    if pid == 0:
        die_with_parent()
        try:
            serve(listener, url, sources, answered)
        finally:
            os._exit(1)
    return pid


def keep_killing(
    kills: int, rng: Random, listener: socket.socket, url: str, sources: Path, done: int
) -> None:
    """Serve in a process that is killed again and again; the last one lives until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    answered = mmap.mmap(-1, 4)
    for _ in range(kills):
        pid, enough = _forked(listener, url, sources, answered), rng.randint(1, 60)
        while int.from_bytes(answered[:4], "little") < enough:
            time.sleep(0.001)
        time.sleep(rng.expovariate(1 / 0.005))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    pid = _forked(listener, url, sources, answered)
    os.write(done, b".")
    signal.sigwait([signal.SIGTERM])
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def run(kills: int, seed: int, kind: str, home: Path) -> tuple[Reports, list[str]]:
    """Kill so many times while writers report; return the reports, and what was not kept."""
    sources = home / "sources.yml"
    sources.write_text(SOURCES)
    with database(kind, home, seed) as db, socket.create_server(("127.0.0.1", 0)) as listener:
        Store(db.url).upgrade()
        reader, writer = os.pipe()
        pid = os.fork()  # before any thread begins
        if pid == 0:
            die_with_parent()
            try:
                keep_killing(kills, Random(seed), listener, db.url, sources, writer)
            finally:
                os._exit(0)
        os.close(writer)
        reports = Reports()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        writers = [Writer([url], reports, f"{seed}-{n}", 0) for n in range(_WRITERS)]
        for each in writers:
            each.start()
        os.read(reader, 100)  # all kills are done
        for each in writers:
            each.stop()
        for each in writers:
            each.join(120)
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        os.close(reader)
        kept: dict[str, tuple[int, set[str]]] = {}
        engine = create_engine(db.url)
        with engine.connect() as connection:
            for key, updates, detail in connection.execute(text(_KEPT)):
                kept.setdefault(key, (updates, set()))[1].add(detail)
        engine.dispose()
    return reports, [*reports.lost(kept), *reports.given_twice(), *reports.wrong]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", default=1000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--database", type=click.Choice(NAMES), default="sqlite", show_default=True)
def main(kills: int, seed: int, database: str) -> None:
    """Kill the process that takes reports, and check that each answered one is kept."""
    with tempfile.TemporaryDirectory(prefix="tracker-reports-") as home:
        reports, problems = run(kills, seed, database, Path(home))
    print(f"| kills | {kills} |\n| jobs given out | {len(reports.given)} |")
    print(f"| reports answered | {reports.number} |\n| had to be repeated | {reports.unanswered} |")
    print(f"| lost, or given out twice | {len(problems)} |")
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
