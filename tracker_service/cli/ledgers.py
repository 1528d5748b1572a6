"""Move jobs between a ledger and a Gardener, for the verbs of `ledger`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from tracker_service.engine.clock import utc_now
from tracker_service.errors import BadInput, ConfigError
from tracker_service.ledger.saved_state import export_state, import_dates, import_state
from tracker_service.ledger.sources import load_sources
from tracker_service.settings import Settings
from tracker_service.store.database import Store


def exported(chosen: Settings, ledger: str) -> Iterator[str]:
    """Yield the saved state of a ledger.

    Raises:
        ConfigError: there is no such ledger.
    """
    _check(chosen, ledger)
    with closing(Store(chosen.store_url)) as store:
        yield from export_state(store, ledger, utc_now())


def imported(chosen: Settings, ledger: str, state: Path, dates: Mapping[str, Path | None]) -> int:
    """Add the jobs of a saved state to a ledger, and return their number.

    Args:
        dates: files with the dates of the iterators, by their names.

    Raises:
        ConfigError: there is no such ledger, or it has no sources for the dates.
        BadInput: a file is of another form, or the ledger has one of the jobs.
    """
    _check(chosen, ledger)
    with closing(Store(chosen.store_url)) as store:
        store.upgrade()
        return _import(store, chosen, ledger, state, dates)


def _import(
    store: Store,
    chosen: Settings,
    ledger: str,
    state: Path,
    dates: Mapping[str, Path | None],
) -> int:
    try:
        number = import_state(store, ledger, state.read_text())
    except BadInput as error:
        raise BadInput(f"{state}: {error}") from error
    texts = {iterator: file.read_text() for iterator, file in dates.items() if file}
    if texts:
        file = chosen.ledger.all[ledger].config
        if file is None:
            raise ConfigError(f"the ledger {ledger} has no sources: set its config first")
        import_dates(store, ledger, load_sources(file), texts)
    return number


def _check(chosen: Settings, ledger: str) -> None:
    if ledger not in chosen.ledger.all:
        raise ConfigError(f"there is no ledger {ledger}; there are {', '.join(chosen.ledger.all)}")
