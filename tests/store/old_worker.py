"""A worker and an API of the release with schema 0006: they send the statements of that release."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, text

_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    "mysql": "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000 AS SIGNED)",
}
_LOCKED = {"sqlite": "", "postgresql": " FOR NO KEY UPDATE", "mysql": " FOR UPDATE"}
_FREE = "size > 0 AND (owner IS NULL OR lease_until < {now})"
_CANDIDATES = f"SELECT id, version FROM jobsets WHERE {_FREE} ORDER BY lease_until LIMIT 10"
_CLAIM = (
    "UPDATE jobsets SET owner = :worker, epoch = epoch + 1, version = version + 1,"
    " lease_until = {now} + 30000"
    f" WHERE id = :id AND version = :version AND {_FREE}"
)
_RENEW = "UPDATE jobsets SET lease_until = {now} + 30000 WHERE owner = :worker"
_HELD = "SELECT id, epoch, version, size FROM jobsets WHERE owner = :worker ORDER BY id"
_GUARD = "SELECT epoch FROM jobsets WHERE id = :id AND owner IS NOT NULL"
_LIVE = (
    "SELECT tasks.id AS task_id, tasks.owner, tasks.state, tasks.copies_always, tasks.stopped_at,"
    " coalesce(jobs.created_at, tasks.created_at) AS began_at, jobs.id AS job_key,"
    " jobs.external_id, jobs.run, jobs.status, jobs.observed_at"
    " FROM tasks JOIN jobs ON jobs.id = tasks.job_id"
    " WHERE tasks.jobset_id = :id AND tasks.state != 'ended' ORDER BY tasks.id"
)
_END = (
    "UPDATE tasks SET state = 'ended', jobset_id = NULL, ended_at = {now}, reason = :reason"
    " WHERE id = :id AND state != 'ended'"
)
_FOLLOW_RUN = (
    "UPDATE tasks SET job_id = :job, state = 'watching', reason = NULL"
    " WHERE id = :id AND state != 'ended' AND stopped_at IS NULL"
)
_SHRINK = "UPDATE jobsets SET size = size - :by, version = version + 1 WHERE id = :id"
_GIVE_BACK = "UPDATE jobsets SET owner = NULL, version = version + 1 WHERE owner = :worker"
_OF_OWNER = (
    "SELECT id, kind, owner, job_id, jobset_id, state, copies_always, stopped_at, reason,"
    " created_at, ended_at, manifest_at FROM tasks"
    " WHERE kind = 'track' AND owner = :user AND job_id = :job"
)
_NEW_JOBSET = (
    "INSERT INTO jobsets (kind, affinity, size, epoch, version, lease_until)"
    " VALUES ('track', :user, 1, 0, 1, 0)"
)
_NEW_TASK = (
    "INSERT INTO tasks (kind, owner, job_id, jobset_id, state, copies_always, created_at)"
    " SELECT 'track', :user, :job, max(id), 'watching', false, 5 FROM jobsets"
    " WHERE affinity = :affinity"
)
_WANT_COPIES = "UPDATE tasks SET stopped_at = NULL, copies_always = true WHERE id = :id"
_STOP = (
    "UPDATE tasks SET state = 'ended', jobset_id = NULL, ended_at = {now}, stopped_at = {now},"
    " reason = 'you stopped tracking this job' WHERE id = :id"
)
_EXPLAIN = "UPDATE tasks SET reason = :reason WHERE owner = :user AND state != 'ended'"
_EXPLAIN_COPY = "UPDATE copies SET status = :status, reason = :reason WHERE id = :id"
_NOTE_MANIFEST = "UPDATE tasks SET manifest_at = :now WHERE id = :id"


class Held(NamedTuple):
    id: int
    epoch: int
    version: int
    size: int


class OldWorker:
    def __init__(self, name: str = "old") -> None:
        self.name = name

    def claim(self, connection: Connection) -> int:
        taken = 0
        for row in _execute(connection, _CANDIDATES).all():
            values = {"id": row.id, "version": row.version, "worker": self.name}
            taken += _execute(connection, _CLAIM, **values).rowcount
        return taken

    def renew(self, connection: Connection) -> None:
        _execute(connection, _RENEW, worker=self.name)

    def held(self, connection: Connection) -> list[Held]:
        return [Held(*row) for row in _execute(connection, _HELD, worker=self.name)]

    def may_write(self, connection: Connection, held: Held) -> bool:
        guard = _GUARD + _LOCKED[_dialect(connection)]
        return _execute(connection, guard, id=held.id).scalar() == held.epoch

    def live(self, connection: Connection, held: Held) -> list[Row[Any]]:
        return list(_execute(connection, _LIVE, id=held.id))

    def end(self, connection: Connection, held: Held, task: int, reason: str | None = None) -> None:
        if _execute(connection, _END, id=task, reason=reason).rowcount:
            _execute(connection, _SHRINK, id=held.id, by=1)

    def follow_run(self, connection: Connection, held: Held, task: int, job: int) -> None:
        assert _execute(connection, _FOLLOW_RUN, id=task, job=job).rowcount == 1
        _execute(connection, _SHRINK, id=held.id, by=0)

    def note_manifest(self, connection: Connection, task: int, now: int) -> None:
        _execute(connection, _NOTE_MANIFEST, id=task, now=now)

    def explain(self, connection: Connection, user: str, reason: str | None) -> None:
        _execute(connection, _EXPLAIN, user=user, reason=reason)

    def explain_copy(self, connection: Connection, copy: str, status: str, reason: str) -> None:
        _execute(connection, _EXPLAIN_COPY, id=copy, status=status, reason=reason)

    def release(self, connection: Connection) -> None:
        _execute(connection, _GIVE_BACK, worker=self.name)


class OldApi:
    """The statements of the old API for one user."""

    def __init__(self, user: str) -> None:
        self.user = user

    def track(self, connection: Connection, job: int) -> None:
        assert not self._task(connection, job)
        _execute(connection, _NEW_JOBSET, user=self.user)
        _execute(connection, _NEW_TASK, user=self.user, affinity=self.user, job=job)

    def want_copies(self, connection: Connection, job: int) -> None:
        task = self._task(connection, job)
        _execute(connection, _SHRINK, id=task.jobset_id, by=0)
        _execute(connection, _WANT_COPIES, id=task.id)

    def stop(self, connection: Connection, job: int) -> None:
        task = self._task(connection, job)
        _execute(connection, _SHRINK, id=task.jobset_id, by=1)
        _execute(connection, _STOP, id=task.id)

    def is_stopped(self, connection: Connection, job: int) -> bool:
        return self._task(connection, job).stopped_at is not None

    def _task(self, connection: Connection, job: int):
        return _execute(connection, _OF_OWNER, user=self.user, job=job).first()


def _execute(connection: Connection, statement: str, **values: object):
    return connection.execute(text(statement.format(now=_NOW[_dialect(connection)])), values)


def _dialect(connection: Connection) -> str:
    return "mysql" if connection.dialect.name == "mariadb" else connection.dialect.name
