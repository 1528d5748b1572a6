"""Build the parts that copy logs, for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from tests.unit.fakes import AtOnce
from tracker_service.archive.copying.aggregation import Aggregation
from tracker_service.archive.copying.copier import Copier
from tracker_service.archive.copying.direct_way import DirectOptions, DirectWay
from tracker_service.archive.copying.earlier_runs import EarlierRuns
from tracker_service.archive.copying.log_files import LogFileFinder
from tracker_service.archive.copying.progress import CopyLimits, Progress
from tracker_service.archive.copying.publishing import Publisher
from tracker_service.archive.copying.streams import Streams
from tracker_service.archive.copying.tries import Tries
from tracker_service.archive.copying.ways import Chooser, Ways
from tracker_service.archive.copying.workflow_copy import WorkflowOptions
from tracker_service.archive.copying.workflow_way import WorkflowWay
from tracker_service.archive.place import LogPlace
from tracker_service.causes.rules import load_rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.copies import Strategy
from tracker_service.identities import Identities
from tracker_service.redaction.masking import hidden
from tracker_service.redaction.secrets import Secrets
from tracker_service.store.database import Store

LIMITS = CopyLimits(per_user=2, per_gateway=3, tries=3, retry_after=timedelta(minutes=1))
OPTIONS = WorkflowOptions(name_node="hdfs://nn", resource_manager="rm", queue=None, properties={})
RULES = load_rules()
PATTERNS = (
    "/app-logs/{user}/bucket-logs-tfile/{bucket}/{application}",
    "/app-logs/{user}/logs/{application}",
    "/tmp/logs/{user}/logs/{application}",
)


@dataclass
class Parts:
    """A copier and what it is made of."""

    copier: Copier
    progress: Progress
    streams: Streams
    finder: LogFileFinder


def build(
    store: Store,
    identities: Identities,
    clock: Callable[[], datetime],
    strategy: Strategy = Strategy.WORKFLOW,
    limit: int = 1024**2,
    secrets: Secrets | None = None,
) -> Parts:
    """Put a copier together whose threads run at once."""
    finder = LogFileFinder(PATTERNS)
    progress, earlier_runs, rules = (
        Progress(store, LIMITS, clock),
        EarlierRuns(store, LogPlace()),
        RULES,
    )
    publisher = Publisher(earlier_runs, progress)
    tries = Tries(progress, may_use_workflow=strategy == Strategy.AUTO)
    streams = Streams(AtOnce(), 2, identities, tries, progress)
    options = DirectOptions(
        limit=limit, secrets=secrets, rules=rules, may_use_workflow=strategy == Strategy.AUTO
    )
    ways = Ways(
        aggregation=Aggregation(finder, 3600, clock, retention=timedelta(days=7)),
        chooser=Chooser(finder, strategy, limit, timedelta(days=7), clock, tries=LIMITS.tries),
        earlier_runs=earlier_runs,
        direct=DirectWay(progress, publisher, streams, options),
        workflow=WorkflowWay(
            progress,
            publisher,
            tries,
            streams,
            OPTIONS,
            new_scanner=partial(Scanner, rules, partial(hidden, secrets) if secrets else str),
            clock=clock,
        ),
        tries=tries,
        progress=progress,
        clock=clock,
    )
    copier = Copier(store, identities, AtOnce(), streams, ways, tries, progress, clock)
    return Parts(copier, progress, streams, finder)
