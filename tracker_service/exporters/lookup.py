"""Find what the workers have scraped, for the page that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracker_service.errors import BadInput
from tracker_service.exporters.exposition import Exposed, page
from tracker_service.exporters.families import Family
from tracker_service.exporters.health import Health
from tracker_service.exporters.masters import TERASLICE, Master
from tracker_service.exporters.snapshot import Snapshot
from tracker_service.store import expositions
from tracker_service.store.database import Store
from tracker_service.store.expositions import Exposition

_SILENT_INTERVALS = 3  #: after so many without an update, nobody scrapes the master


class TeraslicePages:
    """The page with the series of all masters, or of one."""

    def __init__(self, store: Store, families: Sequence[Family], keep_s: float) -> None:
        """Prepare to answer.

        Args:
            families: of the sets that are on.
            keep_s: values older than this are not shown.
        """
        self._store, self._families, self._keep_s = store, families, keep_s

    def page(self, cluster: str | None = None) -> Iterator[bytes]:
        """Return the page in pieces.

        Args:
            cluster: the name of one master; None for all.

        Raises:
            BadInput: no master has this name.
            StoreUnavailable: the database does not answer.
        """
        with self._store.read() as connection:
            found = expositions.shown(connection, TERASLICE, cluster)
        if cluster is not None and not found:
            raise BadInput(f"there is no Teraslice master {cluster!r} in the settings", status=404)
        return page([self._exposed(each) for each in found], self._families)

    def _exposed(self, found: Exposition) -> Exposed:
        master, health = Master.from_spec(found.spec), Health.of_stored(found.health)
        silence_s = _SILENT_INTERVALS * master.interval_s
        health.is_up &= found.tried_s is not None and found.tried_s <= silence_s
        is_fresh = found.snapshot_s is not None and found.snapshot_s <= self._keep_s
        snapshot = Snapshot.unpacked(found.snapshot) if found.snapshot and is_fresh else None
        return Exposed(
            cluster=master.name, url=master.display_url, health=health, snapshot=snapshot
        )
