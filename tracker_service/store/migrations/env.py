"""Run the migrations on the connection, and in the transaction, that the store hands over."""

from __future__ import annotations

from alembic import context

from tracker_service.store.tables import metadata

connection = context.config.attributes["connection"]
# SQLite changes a table by copying it; batch mode writes that for us.
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
