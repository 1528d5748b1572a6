"""Events: what happened, to what, and who may see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

#: Everybody who oversees the site may see the event, and nobody else.
SITE = None


class EventType(StrEnum):
    """The types of events."""

    JOB_STATE_CHANGED = "tracker.job.state_changed"
    JOB_FAILED = "tracker.job.failed"
    LOGS_SAVED = "tracker.logs.saved"
    LOGS_AT_RISK = "tracker.logs.at_risk"
    LOGS_LOST = "tracker.logs.lost"
    WAITS_FOR_CREDENTIALS = "tracker.task.waits_for_credentials"
    SCALING_LIMIT_HIT = "tracker.scaling.limit_hit"
    SCALING_LIMIT_OVER = "tracker.scaling.limit_over"
    CLUSTER_TROUBLE = "tracker.cluster.trouble"
    CLUSTER_TROUBLE_OVER = "tracker.cluster.trouble_over"
    EXECUTION_APPEARED = "teraslice.execution.appeared"
    EXECUTION_VANISHED = "teraslice.execution.vanished"
    EXECUTION_FAILING_SLICES = "teraslice.execution.failing_slices"


class LedgerEventType(StrEnum):
    """The types of the events of ledgers."""

    STATE_CHANGED = "ledger.job.state_changed"
    FAILED = "ledger.job.failed"
    COMPLETED = "ledger.job.completed"
    ACTION_DONE = "ledger.job.action_done"
    EXPIRED = "ledger.job.expired"


class CheckEventType(StrEnum):
    """The types of the events of checks."""

    FAILED = "check.failed"
    RECOVERED = "check.recovered"
    UNREACHABLE = "check.unreachable"  #: by every worker
    REACHABLE = "check.reachable"


CHECK_POST = "check.post"  #: goes only to the subscription of its owner that is its subject
TEST = "tracker.test"  #: goes only to the subscription that is its subject


def _new_id() -> str:
    return str(uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened. The names are those of CloudEvents 1.0, but for the owner.

    See https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
    """

    type: str
    subject: str  #: what it happened to, such as the id of a job
    time: datetime
    data: Mapping[str, Any]  #: in JSON's types, with the keys of the API
    owner: str | None  #: the user who may see it, or `SITE`
    id: str = field(default_factory=_new_id)
    #: equal for the events that different users get of the same thing; None if there is only one
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvent:
    """An event in the log."""

    sequence: int  #: greater than those of all events that were committed before
    event: Event
