"""Add tokens in place of passwords, and the count of wrong credentials."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('verdicts', schema=None) as batch_op:
        batch_op.add_column(sa.Column('sealed', sa.LargeBinary(), nullable=True))
    op.create_table('wrong_tries',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('place', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('tried_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name', 'place', name=op.f('pk_wrong_tries')),
    # As in the other tables of MariaDB: `a` is not `A`.
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    )
