"""A worker of the release with schema 0003, by the statements that it sends."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    "mysql": "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000 AS SIGNED)",
}
_SHARED = {"sqlite": "", "postgresql": " FOR SHARE", "mysql": " LOCK IN SHARE MODE"}
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
_LIVE = "SELECT id FROM tasks WHERE jobset_id = :id AND state <> 'ended' ORDER BY id"
_END = (
    "UPDATE tasks SET state = 'ended', jobset_id = NULL, ended_at = 5, reason = NULL"
    " WHERE id = :id AND state <> 'ended'"
)
_SHRINK = "UPDATE jobsets SET size = size - 1, version = version + 1 WHERE id = :id"
_GIVE_BACK = "UPDATE jobsets SET owner = NULL, version = version + 1 WHERE owner = :worker"
_NEW_JOBSET = (
    "INSERT INTO jobsets (kind, affinity, size, epoch, version, lease_until)"
    " VALUES ('track', :affinity, 1, 0, 1, 0)"
)
_NEW_TASK = (
    "INSERT INTO tasks (kind, owner, job_id, jobset_id, state, copies_always, created_at)"
    " SELECT 'track', 'sam', :job, max(id), 'watching', false, 5 FROM jobsets"
    " WHERE affinity = :affinity"
)


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
        for row in self._execute(connection, _CANDIDATES).all():
            values = {"id": row.id, "version": row.version}
            taken += self._execute(connection, _CLAIM, **values).rowcount
        return taken

    def renew(self, connection: Connection) -> None:
        self._execute(connection, _RENEW)

    def held(self, connection: Connection) -> list[Held]:
        return [Held(*row) for row in self._execute(connection, _HELD)]

    def may_write(self, connection: Connection, held: Held) -> bool:
        guard = _GUARD + _SHARED[_dialect(connection)]
        return self._execute(connection, guard, id=held.id).scalar() == held.epoch

    def live(self, connection: Connection, held: Held) -> list[int]:
        return list(self._execute(connection, _LIVE, id=held.id).scalars())

    def end(self, connection: Connection, held: Held, task: int) -> None:
        if self._execute(connection, _END, id=task).rowcount:
            self._execute(connection, _SHRINK, id=held.id)

    def release(self, connection: Connection) -> None:
        self._execute(connection, _GIVE_BACK)

    def track(self, connection: Connection, job: int, affinity: str) -> None:
        self._execute(connection, _NEW_JOBSET, affinity=affinity)
        self._execute(connection, _NEW_TASK, affinity=affinity, job=job)

    def _execute(self, connection: Connection, statement: str, **values: object):
        known = {"worker": self.name, **values}
        filled = statement.format(now=_NOW[_dialect(connection)])
        used = {name: value for name, value in known.items() if f":{name}" in filled}
        return connection.execute(text(filled), used)


def _dialect(connection: Connection) -> str:
    return "mysql" if connection.dialect.name == "mariadb" else connection.dialect.name
