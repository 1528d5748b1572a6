"""Give the engine what every worker does for the ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog

from tracker_service.engine.duties import Duty, Held
from tracker_service.ledger.ledger import Ledger
from tracker_service.ledger.post_processing import PostProcessing
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Store

log = structlog.get_logger()

_EXPIRE_S = 1.0
_ADVANCE_S = 1.0
_PURGE_S = 60.0


def duties(
    store: Store,
    ledgers: Sequence[Ledger],
    processing: Sequence[PostProcessing],
    *,
    kept_for: timedelta,
) -> list[Duty]:
    """Return what every worker does for the ledgers.

    Args:
        kept_for: after it was removed, a job is kept this long with its history.
    """

    def expire(_: Held) -> None:
        for ledger in ledgers:
            remove_old(store, ledger)

    def purge(_: Held) -> None:
        before = ledgers[0].clock() - kept_for
        if purged := store.write(lambda c: ledger_jobs.purge(c, before)):
            log.info("ledger_jobs_purged", jobs=purged)

    found = [
        Duty(name="ledger_expire", every_s=_EXPIRE_S, run=expire),
        Duty(name="ledger_purge", every_s=_PURGE_S, run=purge),
    ]
    for each in processing:
        found.append(
            Duty(
                name=f"ledger_actions {each.ledger.name}",
                every_s=_ADVANCE_S,
                run=lambda held, each=each: each.advance(held.worker),  # type: ignore[misc]
                stop=each.stop,
            )
        )
    return found


def remove_old(store: Store, ledger: Ledger) -> None:
    """Remove the jobs of a ledger that have expired, or were complete for long enough."""
    now, rules = ledger.clock(), ledger.rules
    silent_since = now - rules.expiration if rules.expiration else None
    removed = store.write(
        lambda connection: ledger_jobs.remove_old(
            connection,
            ledger.name,
            now,
            silent_since=silent_since,
            complete_since=now - rules.cleanup_delay,
            heartbeats_count=rules.heartbeats_count,
        )
    )
    for each in removed:
        log.info("ledger_job_removed", job=each.key, state=each.status.state)
