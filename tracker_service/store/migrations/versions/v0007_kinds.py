"""Which kinds of tasks a worker knows.

Workers of the release before claim jobsets of any kind. So the release with this schema has no
kind but `track`; a second kind may come with the release after it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add('workers', sa.Column('kinds', sa.JSON(), nullable=True))


def _add(table: str, *columns: sa.Column[Any]) -> None:
    """Add columns that are not there yet: on MariaDB an upgrade that was killed has begun it."""
    there = {column['name'] for column in sa.inspect(op.get_bind()).get_columns(table)}
    with op.batch_alter_table(table, schema=None) as batch_op:
        for column in columns:
            if column.name not in there:
                batch_op.add_column(column)
