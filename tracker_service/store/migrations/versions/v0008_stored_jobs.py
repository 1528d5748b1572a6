"""Add indexes for what is shown and what is purged, and the table `locks`.

Processes of the previous release may run during and after this upgrade: no column changes.

MariaDB cannot roll an upgrade back, so each step checks whether it was done already.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

_INDEXES_OF_TASKS = (
    ('owner', 'jobset_id'),
    ('owner', 'state', 'ended_at'),
    ('state', 'ended_at'),
)


def upgrade() -> None:
    for columns in _INDEXES_OF_TASKS:
        name = f"ix_tasks_{'_'.join(columns)}"
        if name not in _indexes_of_tasks():
            op.create_index(name, 'tasks', list(columns))
    if 'ix_tasks_owner_state' in _indexes_of_tasks():
        op.drop_index('ix_tasks_owner_state', 'tasks')
    if 'locks' not in sa.inspect(op.get_bind()).get_table_names():
        op.create_table('locks',
        sa.Column('purpose', sa.String(length=32), nullable=False),
        sa.Column('owner', sa.String(length=64), nullable=False),
        sa.Column('taken_at', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('purpose', 'owner', name=op.f('pk_locks')),
        # As in the other tables of MariaDB: `a` is not `A`.
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        )


def _indexes_of_tasks() -> set[str | None]:
    return {index['name'] for index in sa.inspect(op.get_bind()).get_indexes('tasks')}
