"""The service's answers about jobs that report themselves, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracker_service.client.answers import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerJob:
    """A job of a ledger."""

    id: str
    state: str
    label: str  #: the state; of a failed job also where it has failed
    detail: str
    error: str  #: why it has failed; empty if it has not
    started: str  #: RFC 3339
    updated: str  #: RFC 3339: when the detail was last set
    heartbeat: str | None  #: RFC 3339
    updates: int
    run: int  #: how often it was started again
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeLedgerJob(LedgerJob):
    """A job with its whole history."""

    history: Sequence[JsonObject]
    left_out: int  #: oldest rows that are not kept


def ledger_job(body: JsonObject) -> LedgerJob:
    """Return a job of a list."""
    return LedgerJob(**_facts(body))


def whole_ledger_job(body: JsonObject) -> WholeLedgerJob:
    """Return a job with its history."""
    return WholeLedgerJob(**_facts(body), history=body["history"], left_out=body["left-out"])


def _facts(body: JsonObject) -> dict[str, Any]:
    names = ("id", "state", "label", "detail", "error", "started", "updated", "heartbeat")
    return {name: body[name] for name in (*names, "updates", "run")} | {"raw": body}
