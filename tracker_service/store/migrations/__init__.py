"""Alembic's scripts: each upgrades the schema from one version to the next."""
