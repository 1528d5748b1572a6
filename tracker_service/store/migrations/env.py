"""Run the migrations on the connection and in the transaction of the store."""

from __future__ import annotations

from alembic import context

from tracker_service.store.tables import metadata

connection = context.config.attributes["connection"]
# To change a table, SQLite copies it; Alembic's batch mode does that.
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
