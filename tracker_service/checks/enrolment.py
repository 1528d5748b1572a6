"""Take the checks of the files over into the database, once and whenever a file has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from tracker_service.checks import posts
from tracker_service.checks.check import SelfReport, shown_url
from tracker_service.checks.files import Directories, ReadFile, Source
from tracker_service.domain.subscriptions import CHECKS_OWNER, Selection
from tracker_service.engine.clock import Clock
from tracker_service.engine.duties import Duty, Held
from tracker_service.identities.keys import KeyRing
from tracker_service.store import checks, subscriptions
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()

_READ_S = 2.0  #: from one look at the files to the next
OF_SETTINGS = ""  #: the file of the checks that the settings make


class Enrolment:
    """Has one task for each check; the worker that read the files last decides which."""

    def __init__(
        self,
        store: Store,
        directories: Directories,
        ready_made: Mapping[str, Source],
        key_ring: KeyRing,
        clock: Clock,
        *,
        on_fault: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare to read.

        Args:
            ready_made: checks that the settings make, by their names.
            on_fault: is told of each file that is not used, by its name.
        """
        self._store, self._directories, self._ready_made = store, directories, ready_made
        self._key_ring, self._clock, self._on_fault = key_ring, clock, on_fault
        self._pepper = self._mark()
        self.report: SelfReport | None = None

    def _mark(self) -> str:
        return self._key_ring.fingerprint("checks")

    def duty(self) -> Duty:
        """Return the duty that reads the files."""
        return Duty(name="enrol_checks", every_s=_READ_S, run=self.enrol)

    def enrol(self, _: Held | None = None) -> None:
        """Read the files that have changed, and write down what they say.

        Raises:
            StoreUnavailable: the database does not answer; the next call tries again.
        """
        if (mark := self._mark()) != self._pepper:  # all is encrypted with another key now
            self._pepper = mark
            self._directories.forget()
        found = self._directories.changed()
        if found is None:
            return
        try:
            self._take_over(found)
        except BaseException:
            self._directories.forget()
            raise

    def _take_over(self, found: Sequence[ReadFile]) -> None:
        for file in found:
            if file.fault:
                self._on_fault(file.name)
                place = f"{file.name}, line {file.fault.line}"
                log.error(
                    "checks_file_refused",
                    place=place,
                    rule=file.fault.rule,
                    reason=file.fault.message,
                )
            elif file.was_repaired:
                log.warning("checks_file_repaired", file=file.name)
        sources = {OF_SETTINGS: self._ready_made} | {file.name: file.sources for file in found}
        wanted = {
            name: self._wanted(file, source)
            for file, of_file in sources.items()
            for name, source in of_file.items()
        }
        self.report = next((file.report for file in found if file.report), None)
        by_name = {name: source for of_file in sources.values() for name, source in of_file.items()}
        self._store.write(lambda c: self._write(c, found, by_name, wanted))
        log.info("checks_enrolled", files=len(found), checks=len(wanted))

    def _write(
        self,
        connection: Connection,
        found: Sequence[ReadFile],
        sources: Mapping[str, Source],
        wanted: Mapping[str, checks.WantedCheck],
    ) -> None:
        def seal(name: str) -> str:
            return self._key_ring.encrypt(sources[name].key, sources[name].raw).decode()

        now = self._clock()
        faulty = [file.name for file in found if file.fault]
        kept = checks.enrol(connection, wanted, faulty, now, seal=seal)
        checks.note_files(connection, [_found(file) for file in found], now)
        targets: dict[str, SelfReport] = {n: s.target for n, s in sources.items()}
        if self.report:
            targets[posts.SELF] = self.report
        sinks = {
            sink_name: (sink, Selection())
            for name, target in targets.items()
            for sink_name, sink in posts.sinks_of(name, target, self._key_ring).items()
        }
        stay = [f"{name}#{kind}" for name in kept for kind in ("post", "put")]
        subscriptions.set_routes(connection, sinks, now, owner=CHECKS_OWNER, kept=stay)

    def _wanted(self, file: str, source: Source) -> checks.WantedCheck:
        return checks.WantedCheck(
            file=file,
            url=shown_url(source.url),
            cron=source.cron,
            digest=self._key_ring.fingerprint("check", source.key, source.raw),
            tags=source.tags,
        )


def _found(file: ReadFile) -> checks.FoundFile:
    found = checks.FoundFile(
        name=file.name, checks=len(file.sources), was_repaired=file.was_repaired
    )
    if fault := file.fault:
        found = replace(found, rule=fault.rule, line=fault.line, message=fault.message)
    return found
