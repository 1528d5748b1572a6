"""Add copies on request, stopped tasks, logs that stay readable, and rate limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.add_column(
            sa.Column('copies_always', sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(sa.Column('stopped_at', sa.BigInteger(), nullable=True))
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.alter_column('copies_always', existing_type=sa.Boolean(), server_default=None)
    with op.batch_alter_table('copies', schema=None) as batch_op:
        batch_op.add_column(sa.Column('saved_at', sa.BigInteger(), nullable=True))
    op.execute("UPDATE copies SET saved_at = ended_at WHERE status = 'SUCCEEDED'")
    op.create_table(
        'allowances',
        sa.Column('owner', sa.String(length=64), nullable=False),
        sa.Column('used_until', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('owner', name=op.f('pk_allowances')),
    )
