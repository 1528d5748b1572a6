"""Add the load of workers, notification tokens and hints; make MariaDB compare texts exactly."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    with op.batch_alter_table('workers', schema=None) as batch_op:
        batch_op.add_column(sa.Column('release', sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column('busy', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('late', sa.Integer(), nullable=True))
    op.create_table('notify_tokens',
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('owner', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('used_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('fingerprint', name=op.f('pk_notify_tokens'))
    )
    with op.batch_alter_table('notify_tokens', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_notify_tokens_owner'), ['owner'], unique=False)
    op.create_table('hints',
    sa.Column('task_id', _KEY, autoincrement=False, nullable=False),
    sa.Column('hinted_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['task_id'], ['tasks.id'], name=op.f('fk_hints_task_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('task_id', name=op.f('pk_hints'))
    )
    if op.get_bind().dialect.name in ('mysql', 'mariadb'):
        _keep_long_texts()
        _compare_exactly()


def _keep_long_texts() -> None:
    """Allow reasons longer than 64 KiB, as the other databases do."""
    for table, name in (
        ('tasks', 'reason'),
        ('copies', 'reason'),
        ('copies', 'strategy_reason'),
        ('copies', 'gap'),
        ('copies', 'path'),
    ):
        op.alter_column(table, name, type_=mysql.LONGTEXT(), existing_nullable=name != 'path')


def _compare_exactly() -> None:
    """Make `a` different from `A` and from `\u00e4`, as the other databases do."""
    for table in sa.inspect(op.get_bind()).get_table_names():
        op.execute(f'ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin')
