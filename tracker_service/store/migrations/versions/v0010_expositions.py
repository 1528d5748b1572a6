"""Add the table `expositions`: what exporters have scraped.

Processes of the previous release may run during and after this upgrade: no column changes. A
worker of it claims tasks of any kind: masters are added once all workers are of this release.

MariaDB cannot roll an upgrade back, so it is checked whether the table is there already.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGBLOB

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
_BYTES = sa.LargeBinary().with_variant(LONGBLOB(), 'mysql', 'mariadb')


def upgrade() -> None:
    if 'expositions' in sa.inspect(op.get_bind()).get_table_names():
        return
    op.create_table('expositions',
    sa.Column('task_id', _KEY, autoincrement=False, nullable=False),
    sa.Column('health', sa.JSON(), nullable=False),
    sa.Column('tried_at', sa.BigInteger(), nullable=False),
    sa.Column('snapshot', _BYTES, nullable=True),
    sa.Column('snapshot_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['task_id'], ['tasks.id'], name=op.f('fk_expositions_task_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('task_id', name=op.f('pk_expositions')),
    # As in the other tables of MariaDB: `a` is not `A`.
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    )
