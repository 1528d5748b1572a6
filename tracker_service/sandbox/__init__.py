"""Stands in for a cluster behind a Knox gateway, in one process, without Hadoop."""

from __future__ import annotations
