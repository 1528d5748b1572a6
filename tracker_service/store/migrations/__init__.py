"""Alembic's scripts: each brings the schema from one version to the next."""
