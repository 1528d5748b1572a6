"""Add how a log was copied, its contents and its age, and the children of jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.add_column(sa.Column('manifest_at', sa.BigInteger(), nullable=True))
    with op.batch_alter_table('copies', schema=None) as batch_op:
        batch_op.add_column(sa.Column('strategy_reason', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('log_at', sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column('contents', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('gap', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('part', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('run', sa.Integer(), nullable=True))
        batch_op.create_index('ix_copies_status_log_at', ['status', 'log_at'], unique=False)
    op.execute("UPDATE copies SET log_at = created_at")
    op.execute(
        'UPDATE copies SET run = (SELECT jobs.run FROM tasks JOIN jobs ON jobs.id = tasks.job_id'
        ' WHERE tasks.id = copies.task_id)'
    )
    op.execute("UPDATE copies SET strategy = 'auto' WHERE status = 'WAITING'")
    with op.batch_alter_table('copies', schema=None) as batch_op:
        batch_op.alter_column('log_at', existing_type=sa.BigInteger(), nullable=False)
        batch_op.alter_column('run', existing_type=sa.Integer(), nullable=False)
    with op.batch_alter_table('jobs', schema=None) as batch_op:
        batch_op.create_index('ix_jobs_parent_id', ['parent_id'], unique=False)
