"""The right of one worker to a jobset, and what the tasks of one jobset have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of one worker to write on behalf of a jobset, as long as the epoch is this one."""

    jobset_id: int
    epoch: int


def affinity(owner: str, gateway_url: str) -> str:
    """Return what the tasks of one jobset have in common: who is asked, and as whom."""
    return f"{owner} {gateway_url}"[:255]
