"""Upgrade the schema to this version, one process at a time."""

from __future__ import annotations

from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text

from tracker_service.errors import ConfigError
from tracker_service.store.dialects import open_engine

_LOCK = 7_311_442_026  #: an arbitrary number that no other program locks in this database


def upgrade(url: str) -> None:
    """Upgrade the schema of a database to this version, from any earlier one.

    If several processes upgrade at once, one does it while the others wait. On SQLite and
    PostgreSQL, an upgrade is one transaction.

    Raises:
        ConfigError: a later release has upgraded the schema.
    """
    engine = open_engine(url, for_upgrade=True)
    try:
        with as_file(files("tracker_service.store") / "migrations") as migrations:
            config = Config()
            config.set_main_option("script_location", str(migrations))
            with engine.begin() as connection:
                _wait_for_others(connection)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except CommandError as error:
        raise ConfigError(f"the database was upgraded by a later release: {error}") from error
    finally:
        engine.dispose()


def _wait_for_others(connection: Connection) -> None:
    """Wait until no other process upgrades; on SQLite, the transaction has waited already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    elif connection.dialect.name in ("mysql", "mariadb"):
        # This lock lasts as long as the connection; a transaction ends with each change of a table.
        lock = "SELECT GET_LOCK(CONCAT('tracker ', MD5(DATABASE())), 3600)"
        connection.execute(text(lock))
