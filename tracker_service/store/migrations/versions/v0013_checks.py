"""Add checks of HTTP endpoints, their history, and workers that do not get a jobset.

Processes of the previous release know neither the tables nor the kind `check`.

MariaDB cannot roll an upgrade back, so each step checks whether it was done already.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

# As in the other tables of MariaDB: `a` is not `A`.
_MARIADB: dict[str, Any] = {'mysql_charset': 'utf8mb4', 'mysql_collate': 'utf8mb4_bin'}
_KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
_TEXT = sa.Text().with_variant(LONGTEXT(), 'mysql', 'mariadb')


def _task(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column('task_id', _KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ['task_id'], ['tasks.id'], name=f'fk_{table}_task_id', ondelete='CASCADE'
        ),
    ]


_TABLES: dict[str, list[sa.schema.SchemaItem]] = {
    'jobset_exclusions': [
        sa.Column('jobset_id', _KEY, nullable=False),
        sa.Column('worker', sa.String(length=64), nullable=False),
        sa.Column('until', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('jobset_id', 'worker', name='pk_jobset_exclusions'),
        sa.ForeignKeyConstraint(
            ['jobset_id'],
            ['jobsets.id'],
            name='fk_jobset_exclusions_jobset_id',
            ondelete='CASCADE',
        ),
    ],
    'checks': [
        *_task('checks'),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('file', sa.String(length=255), nullable=False),
        sa.Column('url', _TEXT, nullable=False),
        sa.Column('cron', sa.String(length=255), nullable=False),
        sa.Column('sealed', _TEXT, nullable=False),
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.Column('tags', sa.JSON(), nullable=False),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('since', sa.BigInteger(), nullable=False),
        sa.Column('in_a_row', sa.Integer(), nullable=False),
        sa.Column('due_at', sa.BigInteger(), nullable=False),
        sa.Column('ran_at', sa.BigInteger(), nullable=True),
        sa.Column('is_ok', sa.Boolean(), nullable=True),
        sa.Column('status', sa.Integer(), nullable=True),
        sa.Column('latency_ms', sa.Integer(), nullable=True),
        sa.Column('phases', sa.JSON(), nullable=True),
        sa.Column('error', _TEXT, nullable=True),
        sa.Column('certificate_until', sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint('task_id', name='pk_checks'),
        sa.UniqueConstraint('name', name='uq_checks_name'),
    ],
    'check_runs': [
        *_task('check_runs'),
        sa.Column('due_at', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('ran_at', sa.BigInteger(), nullable=False),
        sa.Column('late_ms', sa.Integer(), nullable=False),
        sa.Column('is_ok', sa.Boolean(), nullable=False),
        sa.Column('in_maintenance', sa.Boolean(), nullable=False),
        sa.Column('status', sa.Integer(), nullable=True),
        sa.Column('latency_ms', sa.Integer(), nullable=False),
        sa.Column('phases', sa.JSON(), nullable=False),
        sa.Column('values', sa.JSON(), nullable=True),
        sa.Column('error', _TEXT, nullable=True),
        sa.Column('worker', sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint('task_id', 'due_at', name='pk_check_runs'),
    ],
    'check_hours': [
        *_task('check_hours'),
        sa.Column('hour', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('runs', sa.Integer(), nullable=False),
        sa.Column('ok', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('task_id', 'hour', name='pk_check_hours'),
    ],
    'check_files': [
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('read_at', sa.BigInteger(), nullable=False),
        sa.Column('checks', sa.Integer(), nullable=False),
        sa.Column('rule', sa.String(length=32), nullable=True),
        sa.Column('line', sa.Integer(), nullable=True),
        sa.Column('message', _TEXT, nullable=True),
        sa.Column('was_repaired', sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint('name', name='pk_check_files'),
    ],
}
_INDEXES = {'check_runs': (('due_at',),), 'check_hours': (('hour',),)}


def upgrade() -> None:
    known = sa.inspect(op.get_bind()).get_table_names()
    for table, items in _TABLES.items():
        if table not in known:
            op.create_table(table, *items, **_MARIADB)
    for table, indexes in _INDEXES.items():
        there = {index['name'] for index in sa.inspect(op.get_bind()).get_indexes(table)}
        for columns in indexes:
            name = f"ix_{table}_{'_'.join(columns)}"
            if name not in there:
                op.create_index(name, table, list(columns))
