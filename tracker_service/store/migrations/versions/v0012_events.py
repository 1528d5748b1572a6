"""Add the log of events, and the deliveries to those who want to hear of them.

Processes of the previous release may run during and after this upgrade: they write no events.

MariaDB cannot roll an upgrade back, so each step checks whether it was done already.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None

# As in the other tables of MariaDB: `a` is not `A`.
_MARIADB: dict[str, Any] = {'mysql_charset': 'utf8mb4', 'mysql_collate': 'utf8mb4_bin'}
_KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
_TEXT = sa.Text().with_variant(LONGTEXT(), 'mysql', 'mariadb')
_TABLES: dict[str, list[sa.schema.SchemaItem]] = {
    'counters': [
        sa.Column('name', sa.String(length=32), nullable=False),
        sa.Column('value', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('name', name='pk_counters'),
    ],
    'events': [
        sa.Column('sequence', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('type', sa.String(length=64), nullable=False),
        sa.Column('subject', sa.String(length=255), nullable=False),
        sa.Column('owner', sa.String(length=255), nullable=True),
        sa.Column('time', sa.BigInteger(), nullable=False),
        sa.Column('data', sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint('sequence', name='pk_events'),
        sa.UniqueConstraint('id', name='uq_events_id'),
    ],
    'deliveries': [
        sa.Column('id', _KEY, autoincrement=True, nullable=False),
        sa.Column('task_id', _KEY, nullable=False),
        sa.Column('event', sa.BigInteger(), nullable=False),
        sa.Column('about', sa.String(length=64), nullable=False),
        sa.Column('subject', sa.String(length=255), nullable=False),
        sa.Column('family', sa.String(length=64), nullable=True),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('due_at', sa.BigInteger(), nullable=False),
        sa.Column('answer', _TEXT, nullable=True),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('ended_at', sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_deliveries'),
        sa.UniqueConstraint('task_id', 'about', name='uq_deliveries_task_id_about'),
        sa.ForeignKeyConstraint(
            ['task_id'], ['tasks.id'], name='fk_deliveries_task_id', ondelete='CASCADE'
        ),
        sa.ForeignKeyConstraint(
            ['event'], ['events.sequence'], name='fk_deliveries_event', ondelete='CASCADE'
        ),
    ],
    'conditions': [
        sa.Column('name', sa.String(length=32), nullable=False),
        sa.Column('subject', sa.String(length=100), nullable=False),
        sa.Column('began_at', sa.BigInteger(), nullable=False),
        sa.Column('seen_at', sa.BigInteger(), nullable=False),
        sa.Column('data', sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint('name', 'subject', name='pk_conditions'),
    ],
    'muted_families': [
        sa.Column('owner', sa.String(length=255), nullable=False),
        sa.Column('fingerprint', sa.String(length=64), nullable=False),
        sa.Column('until', sa.BigInteger(), nullable=False),
        sa.Column('muted_at', sa.BigInteger(), nullable=False),
        sa.Column('muted_by', sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint('owner', 'fingerprint', name='pk_muted_families'),
    ],
}
_INDEXES = {
    'events': (('owner', 'sequence'), ('time',)),
    'deliveries': (
        ('task_id', 'state', 'due_at'),
        ('task_id', 'state', 'event'),
        ('task_id', 'family', 'ended_at'),
        ('state',),
        ('event',),
    ),
}


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
