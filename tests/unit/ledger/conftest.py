from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.fakes import Clock
from tests.unit.ledger.writers import Way, Wsgi, front_of, raw
from tracker_service.bootstrap import Service
from tracker_service.bootstrap.ledger import Ledgers, build_ledgers
from tracker_service.domain.ledger import Datasets, LedgerJob
from tracker_service.ledger.ledger import Ledger
from tracker_service.metrics import Metrics
from tracker_service.settings.ledger import LedgerSettings
from tracker_service.store.database import Store

SOURCES = """
start_date: 2026-11-01
sources:
- bucket: lab
  experiment: ndt
  datatype: ndt7
  filter: .*T??:??:00.*Z
  target_datasets: {tmp: tmp_ndt, raw: raw_ndt, join: ndt}
- bucket: lab
  experiment: ndt
  datatype: annotation2
"""


@pytest.fixture
def service(service: Service, now: Clock) -> Service:
    """The service with a ledger without sources."""
    settings = LedgerSettings(enabled=True)
    ledgers = build_ledgers(settings, service.store, service.metrics, now)
    return replace(service, ledgers=ledgers)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    file = tmp_path / "sources.yml"
    file.write_text(SOURCES)
    return file


@pytest.fixture
def open_ledgers(store: Store, metrics: Metrics, now: Clock) -> Callable[..., Ledgers]:
    """Opens the ledgers that some settings describe."""

    def opened(metrics: Metrics = metrics, **settings: object) -> Ledgers:
        chosen = LedgerSettings.model_validate({"enabled": True, **settings})
        ledgers = build_ledgers(chosen, store, metrics, now)
        assert ledgers
        return ledgers

    return opened


@pytest.fixture
def ledgers(open_ledgers: Callable[..., Ledgers], sources: Path) -> Ledgers:
    return open_ledgers(config=sources)


@pytest.fixture
def ledger(ledgers: Ledgers) -> Ledger:
    return ledgers.by_name["default"].ledger


@pytest.fixture(params=["wsgi", "raw"])
def way(request: pytest.FixtureRequest, ledgers: Ledgers) -> Iterator[Way]:
    """Both ways of a call to the ledgers."""
    wsgi = Wsgi(front_of(ledgers))
    if request.param == "wsgi":
        yield wsgi
    else:
        with raw(wsgi) as way:
            yield way


def ledger_job(day: int = 2, datatype: str = "ndt7", **more: object) -> LedgerJob:
    values = {
        "bucket": "lab",
        "experiment": "ndt",
        "datatype": datatype,
        "date": datetime(2024, 1, day, tzinfo=UTC),
        "datasets": Datasets("tmp_ndt", "raw_ndt", "ndt"),
    }
    return LedgerJob(**(values | more))  # type: ignore[arg-type]
