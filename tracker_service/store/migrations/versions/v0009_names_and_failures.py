"""Make room for user names as long as HDFS allows, and add since when the search of a task fails.

Processes of the previous release may run during and after this upgrade: they write shorter names,
and leave the new column empty.

MariaDB cannot roll an upgrade back, so each step can be repeated.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None

_TABLES = (
    *('jobs', 'tasks', 'track_tasks', 'credentials', 'verdicts', 'allowances', 'notify_tokens'),
    'locks',
)


def upgrade() -> None:
    columns = sa.inspect(op.get_bind()).get_columns('track_tasks')
    if 'failing_since' not in {column['name'] for column in columns}:
        with op.batch_alter_table('track_tasks', schema=None) as batch_op:
            batch_op.add_column(sa.Column('failing_since', sa.BigInteger(), nullable=True))
    for table in _TABLES:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.alter_column(
                'owner',
                existing_type=sa.String(length=64),
                type_=sa.String(length=255),
                existing_nullable=table == 'jobs',
            )
