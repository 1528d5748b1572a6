"""Build the exporter: what a worker scrapes, and what the API shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from tracker_service.engine.clock import Clock
from tracker_service.engine.duties import Duty, TaskKind
from tracker_service.exporters import duties
from tracker_service.exporters.families import families
from tracker_service.exporters.lookup import TeraslicePages
from tracker_service.exporters.masters import Master
from tracker_service.exporters.scraping import Scraper
from tracker_service.settings.exporters import ExportersSettings, TerasliceMaster
from tracker_service.store.database import Store


@dataclass(frozen=True, slots=True)
class ExportersWork:
    """What the engine runs."""

    kinds: Sequence[TaskKind]
    duties: Sequence[Duty]


def build_exporters_work(
    settings: ExportersSettings, store: Store, clock: Clock, executor: Executor
) -> ExportersWork:
    """Build what a worker does; without a master it only removes those of earlier settings."""
    wanted = [_master(each) for each in settings.teraslice]
    enrolment = duties.Enrolment(store, wanted, clock)
    if not wanted:
        return ExportersWork([], [enrolment.duty()])
    masters = duties.Masters(store, Scraper(clock), executor)
    return ExportersWork([masters], [enrolment.duty(), masters.duty()])


def build_teraslice_pages(settings: ExportersSettings, store: Store) -> TeraslicePages:
    """Build what the API shows."""
    shown = families(
        with_bare=settings.teraslice_bare_names, with_extended=settings.teraslice_extended
    )
    return TeraslicePages(store, shown, settings.teraslice_keep_s)


def _master(settings: TerasliceMaster) -> Master:
    def path(file: object) -> str | None:
        return str(file) if file else None

    return Master(
        name=settings.name,
        url=str(settings.url).rstrip("/"),
        display_url=settings.shown_url,
        interval_s=settings.interval,
        timeout_s=settings.timeout,
        ca_file=path(settings.ca_file),
        user=settings.user,
        password_file=path(settings.password_file),
        header=settings.header,
        header_file=path(settings.header_file),
    )
