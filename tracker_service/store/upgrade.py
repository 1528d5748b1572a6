"""Bring the schema to this version, one process at a time."""

from __future__ import annotations

from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text

from tracker_service.errors import ConfigError
from tracker_service.store.dialects import open_engine

_LOCK = 7_311_442_026  #: any number that nobody else locks in this database


def upgrade(url: str) -> None:
    """Bring the schema of a database to this version, from any earlier one.

    Several processes may do so at once: one does it, the others wait and find it done. On SQLite
    and PostgreSQL an upgrade happens whole or not at all.

    Raises:
        ConfigError: the schema is of a later release.
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
    """Let one process upgrade at a time; a transaction of SQLite has waited already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    elif connection.dialect.name in ("mysql", "mariadb"):
        # It ends with the connection: a transaction ends with each change of a table.
        lock = "SELECT GET_LOCK(CONCAT('tracker ', MD5(DATABASE())), 3600)"
        connection.execute(text(lock))
