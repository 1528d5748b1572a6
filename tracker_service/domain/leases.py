"""Leases of workers on jobsets, and the affinity of tasks to one jobset."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of one worker to write for a jobset; it ends when the epoch changes."""

    jobset_id: int
    epoch: int


def affinity(owner: str, gateway_url: str) -> str:
    """Return the affinity of tasks in one jobset: the user who asks, and the gateway."""
    return f"{owner} {gateway_url}"[:255]
