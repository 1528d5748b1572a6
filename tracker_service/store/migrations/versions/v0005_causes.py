"""Add the causes of failures, and YARN's diagnostics of applications."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')


def upgrade() -> None:
    with op.batch_alter_table('copies', schema=None) as batch_op:
        batch_op.add_column(sa.Column('diagnostics', _TEXT, nullable=True))
    op.create_table('causes',
    sa.Column('id', _KEY, autoincrement=True, nullable=False),
    sa.Column('task_id', _KEY, nullable=False),
    sa.Column('job_id', _KEY, nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('category', sa.String(length=32), nullable=False),
    sa.Column('summary', _TEXT, nullable=False),
    sa.Column('card', sa.JSON(), nullable=False),
    sa.Column('failed_at', sa.BigInteger(), nullable=False),
    sa.Column('decided_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_causes_job_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['task_id'], ['tasks.id'], name=op.f('fk_causes_task_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_causes')),
    sa.UniqueConstraint('task_id', 'job_id', name=op.f('uq_causes_task_id_job_id')),
    # As in the other tables of MariaDB: `a` is not `A`.
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    )
    with op.batch_alter_table('causes', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_causes_job_id'), ['job_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_causes_fingerprint_failed_at'), ['fingerprint', 'failed_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_causes_failed_at'), ['failed_at'], unique=False)
