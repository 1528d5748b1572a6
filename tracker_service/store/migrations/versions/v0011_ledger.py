"""Add the jobs of ledgers, their history, cursors and actions.

Processes of the previous release may run during and after this upgrade: no other table changes.

MariaDB cannot roll an upgrade back, so each step checks whether it was done already.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')


def upgrade() -> None:
    there = sa.inspect(op.get_bind()).get_table_names()
    for name, columns in _TABLES.items():
        if name not in there:
            op.create_table(
                name,
                *columns(),
                # As in the other tables of MariaDB: `a` is not `A`.
                mysql_charset='utf8mb4',
                mysql_collate='utf8mb4_bin',
            )


def _jobs() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column('id', _KEY, autoincrement=True, nullable=False),
        sa.Column('ledger', sa.String(length=64), nullable=False),
        sa.Column('job_key', sa.String(length=500), nullable=False),
        sa.Column('bucket', sa.String(length=500), nullable=False),
        sa.Column('experiment', sa.String(length=500), nullable=False),
        sa.Column('datatype', sa.String(length=500), nullable=False),
        sa.Column('date', sa.String(length=40), nullable=False),
        sa.Column('filter', _TEXT, nullable=False),
        sa.Column('datasets', sa.JSON(), nullable=False),
        sa.Column('run', sa.Integer(), nullable=False),
        sa.Column('entry', sa.Integer(), nullable=False),
        sa.Column('history_rows', sa.Integer(), nullable=False),
        sa.Column('update_count', sa.Integer(), nullable=False),
        sa.Column('state', sa.String(length=255), nullable=False),
        sa.Column('state_at', sa.BigInteger(), nullable=False),
        sa.Column('detail', _TEXT, nullable=False),
        sa.Column('detail_at', sa.BigInteger(), nullable=False),
        sa.Column('before_state', sa.String(length=255), nullable=True),
        sa.Column('before_detail', _TEXT, nullable=True),
        sa.Column('started_at', sa.BigInteger(), nullable=False),
        sa.Column('heartbeat_at', sa.BigInteger(), nullable=True),
        sa.Column('removed_at', sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger_jobs')),
        sa.UniqueConstraint('ledger', 'job_key', name=op.f('uq_ledger_jobs_ledger_job_key')),
        sa.Index('ix_ledger_jobs_ledger_removed_at_started_at', 'ledger', 'removed_at', 'started_at'),
        sa.Index('ix_ledger_jobs_ledger_state_removed_at', 'ledger', 'state', 'removed_at'),
        sa.Index('ix_ledger_jobs_removed_at', 'removed_at'),
    ]


def _changes() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column('job_id', _KEY, autoincrement=False, nullable=False),
        sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('run', sa.Integer(), nullable=False),
        sa.Column('entry', sa.Integer(), nullable=False),
        sa.Column('state', sa.String(length=255), nullable=False),
        sa.Column('at', sa.BigInteger(), nullable=False),
        sa.Column('detail', _TEXT, nullable=False),
        _of_a_job('ledger_changes'),
        sa.PrimaryKeyConstraint('job_id', 'number', name=op.f('pk_ledger_changes')),
    ]


def _cursors() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column('ledger', sa.String(length=64), nullable=False),
        sa.Column('iterator', sa.String(length=16), nullable=False),
        sa.Column('source', sa.String(length=500), nullable=False),
        sa.Column('round', sa.Integer(), nullable=False),
        sa.Column('date', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('ledger', 'iterator', 'source', name=op.f('pk_ledger_cursors')),
    ]


def _actions() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column('job_id', _KEY, autoincrement=False, nullable=False),
        sa.Column('run', sa.Integer(), nullable=False),
        sa.Column('entry', sa.Integer(), nullable=False),
        sa.Column('worker', sa.String(length=64), nullable=True),
        sa.Column('lease_until', sa.BigInteger(), nullable=False),
        sa.Column('due_at', sa.BigInteger(), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('reference', sa.String(length=100), nullable=True),
        _of_a_job('ledger_actions'),
        sa.PrimaryKeyConstraint('job_id', name=op.f('pk_ledger_actions')),
    ]


def _of_a_job(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ['job_id'], ['ledger_jobs.id'], name=op.f(f'fk_{table}_job_id'), ondelete='CASCADE'
    )


_TABLES = {
    'ledger_jobs': _jobs,
    'ledger_changes': _changes,
    'ledger_cursors': _cursors,
    'ledger_actions': _actions,
}
