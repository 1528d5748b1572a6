"""Add tasks of any kind, the table `track_tasks`, codes of reasons, and the kinds of workers.

Processes of the previous release may run during and after this upgrade. They use the columns of
`tasks` that have moved to `track_tasks`, so these columns stay; a later migration drops them. They
also claim jobsets of any kind, so this release has no kind but `track`; the next release may add
another one.

MariaDB cannot roll an upgrade back, so each step checks whether it was done already.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')

_TASK_CODE = """CASE
  WHEN reason LIKE 'waiting-for-credentials: there is no%' THEN 'no-credential'
  WHEN reason LIKE 'waiting-for-credentials: the gateway%' THEN 'credential-refused'
  WHEN reason LIKE 'waiting-for-credentials: the stored%' THEN 'credential-expired'
  WHEN reason LIKE 'waiting-for-credentials%' THEN 'credential-unreadable'
  WHEN reason = 'you stopped tracking this job' THEN 'stopped'
  WHEN reason LIKE 'Oozie does not know the job%' THEN 'job-gone'
  WHEN reason LIKE 'the job was run again%' THEN 'run-tracked'
  ELSE 'incomplete' END"""
_COPY_CODE = """CASE
  WHEN status = 'RUNNING' AND reason LIKE 'the tracker stopped the copy workflow%'
    THEN 'stopped-by-tracker'
  WHEN status = 'WAITING' AND reason LIKE 'waits for a place: % copy workflows of % run already'
    THEN 'no-user-slot'
  WHEN status = 'WAITING' AND reason LIKE 'waits for a place: % copy workflows run already'
    THEN 'no-gateway-slot'
  WHEN status = 'WAITING' AND reason LIKE 'waits for a place: % logs are being copied already'
    THEN 'no-stream'
  WHEN status = 'KILLED' AND reason = 'you stopped tracking this job' THEN 'not-tracked'
  WHEN status = 'KILLED' AND reason = 'you removed the logs' THEN 'removed'
  WHEN status = 'KILLED' AND reason = 'removed: older than copying.keep_copies_h' THEN 'expired'
  END"""


def upgrade() -> None:
    _add_columns('workers', sa.Column('kinds', sa.JSON(), nullable=True))
    _add_columns(
        'tasks',
        sa.Column('subject', sa.String(length=255), nullable=True),
        sa.Column('spec', sa.JSON(), nullable=True),
        sa.Column('reason_code', sa.String(length=32), nullable=True),
    )
    _add_columns('copies', sa.Column('reason_code', sa.String(length=32), nullable=True))
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.alter_column('job_id', existing_type=_KEY, nullable=True)
        batch_op.alter_column('copies_always', existing_type=sa.Boolean(), nullable=True)
    if 'track_tasks' not in sa.inspect(op.get_bind()).get_table_names():
        _create_track_tasks()
    op.execute(
        'INSERT INTO track_tasks (task_id, owner, job_id, copies_always, stopped_at, manifest_at)'
        ' SELECT id, owner, job_id, copies_always, stopped_at, manifest_at FROM tasks'
        " WHERE kind = 'track' AND id NOT IN (SELECT task_id FROM track_tasks)"
    )
    op.execute(
        'UPDATE tasks SET subject = (SELECT external_id FROM jobs WHERE jobs.id = tasks.job_id)'
        ' WHERE subject IS NULL'
    )
    op.execute(f'UPDATE tasks SET reason_code = {_TASK_CODE} WHERE reason IS NOT NULL')
    op.execute(f'UPDATE copies SET reason_code = {_COPY_CODE} WHERE reason IS NOT NULL')


def _add_columns(table: str, *columns: sa.Column[Any]) -> None:
    there = {column['name'] for column in sa.inspect(op.get_bind()).get_columns(table)}
    with op.batch_alter_table(table, schema=None) as batch_op:
        for column in columns:
            if column.name not in there:
                batch_op.add_column(column)


def _create_track_tasks() -> None:
    op.create_table('track_tasks',
    sa.Column('task_id', _KEY, autoincrement=False, nullable=False),
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('job_id', _KEY, nullable=False),
    sa.Column('copies_always', sa.Boolean(), nullable=False),
    sa.Column('stopped_at', sa.BigInteger(), nullable=True),
    sa.Column('manifest_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_track_tasks_job_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['task_id'], ['tasks.id'], name=op.f('fk_track_tasks_task_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('task_id', name=op.f('pk_track_tasks')),
    sa.Index('ix_track_tasks_owner_job_id', 'owner', 'job_id'),
    sa.Index('ix_track_tasks_job_id', 'job_id'),
    # As in the other tables of MariaDB: `a` is not `A`.
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    )
