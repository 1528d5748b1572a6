"""Make databases of earlier releases: their schema, with data in it."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

import tracker_service.store
from tracker_service.store.dialects import open_engine

EARLIER = (
    *("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008"),
    *("0009", "0010", "0011"),
)
NEW = "new"  #: in place of an earlier release: nothing was there before
LATER_MS = 4_000_000_000_000  # the end of a lease, far in the future
THEN_MS = 1_700_000_000_000
LEDGER_JOB = "lab/ndt/ndt7/20240102"  # since 0011


def make(url: str, revision: str) -> None:
    """Make the schema of an earlier release, and fill it with rows as that release wrote them."""
    config = Config()
    config.set_main_option("script_location", f"{tracker_service.store.__path__[0]}/migrations")
    engine = open_engine(url, for_upgrade=True)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        _fill(connection, revision)
    engine.dispose()


def _fill(connection: Connection, revision: str) -> None:
    for number, status, run in ((1, "RUNNING", 0), (2, "KILLED", 2), (3, "SUCCEEDED", 0)):
        _insert(
            connection,
            "jobs",
            kind="oozie",
            external_id=_job(number),
            run=run,
            status=status,
            actions="[]",
            observed_at=THEN_MS,
        )
        _insert(connection, "job_state_changes", job_id=number, to_status=status, changed_at=5)
    affinity = "guest http://gateway"
    jobset = {"kind": "track", "affinity": affinity, "epoch": 3, "version": 7, "size": 1}
    _insert(connection, "jobsets", **jobset, owner="old", lease_until=LATER_MS)
    _insert(connection, "jobsets", **jobset, lease_until=THEN_MS, polled_at=THEN_MS)
    for number, state in ((1, "watching"), (2, "copying"), (3, "ended")):
        wishes = {} if revision == "0001" else {"copies_always": number == 2}
        subject = {"subject": _job(number)} if revision >= "0007" else {}
        is_live = state != "ended"
        _insert(
            connection,
            "tasks",
            kind="track",
            owner="guest",
            job_id=number,
            jobset_id=number if is_live else None,
            state=state,
            created_at=THEN_MS,
            ended_at=None if is_live else THEN_MS + 9,
            **wishes,
            **subject,
        )
        if revision >= "0007":
            _insert(
                connection, "track_tasks", task_id=number, owner="guest", job_id=number, **wishes
            )
    for number, status in enumerate(("WAITING", "RUNNING", "SUCCEEDED", "FAILED"), start=1):
        _insert(connection, "copies", **_copy(number, status, revision))
    if revision >= "0011":
        _fill_ledger(connection)
    _insert(connection, "credentials", owner="guest", sealed=b"\0\xff", kept_at=1, refusals=0)
    _insert(connection, "verdicts", fingerprint="f" * 64, owner="guest", expires_at=LATER_MS)
    _insert(connection, "workers", id="old", started_at=THEN_MS, seen_at=THEN_MS)


def _fill_ledger(connection: Connection) -> None:
    """Write a job that came to `parsing`."""
    _insert(
        connection,
        "ledger_jobs",
        ledger="default",
        job_key=LEDGER_JOB,
        bucket="lab",
        experiment="ndt",
        datatype="ndt7",
        date="2024-01-02T00:00:00+00:00",
        filter="",
        datasets='{"tmp": "t", "raw": "r", "join": ""}',
        run=0,
        entry=1,
        history_rows=2,
        update_count=1,
        state="parsing",
        state_at=THEN_MS * 1000,
        detail="a file",
        detail_at=THEN_MS * 1000,
        before_state="init",
        before_detail="",
        started_at=THEN_MS * 1000,
    )
    for number, state in ((1, "init"), (2, "parsing")):
        _insert(
            connection,
            "ledger_changes",
            job_id=1,
            number=number,
            run=0,
            entry=number - 1,
            state=state,
            at=THEN_MS * 1000,
            detail="a file" if state == "parsing" else "",
        )


def _job(number: int) -> str:
    return f"{number:07d}-261122045545966-oozie-test-W"


def _copy(number: int, status: str, revision: str) -> dict[str, object]:
    is_saved = status == "SUCCEEDED"
    row: dict[str, object] = {
        "id": f"{number:016d}",
        "task_id": 2,
        "application_id": f"application_1_000{number}",
        "status": status,
        "strategy": "workflow",
        "job": None if status == "WAITING" else f"000{number}-oozie-W",
        "path": f"/user/guest/WORK/logs/2/{number}.log",
        "bytes": 12 if is_saved else None,
        "attempt": 1,
        "failures": 0,
        "due_at": THEN_MS,
        "created_at": THEN_MS + number,
        "ended_at": THEN_MS + 100 if status in ("SUCCEEDED", "FAILED") else None,
    }
    if revision >= "0002":
        row["saved_at"] = row["ended_at"] if is_saved else None
    if revision >= "0003":
        row |= {"log_at": THEN_MS + number, "run": 2}
        row["strategy"] = "auto" if status == "WAITING" else "workflow"
        row["contents"] = '{"containers": 1, "sources": ["/a"]}' if is_saved else None
    return row


def _insert(connection: Connection, table: str, **row: object) -> None:
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
