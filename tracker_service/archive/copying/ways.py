"""Choose how a log is copied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tracker_service.archive.copying.aggregation import Ready
from tracker_service.archive.copying.direct_copy import DirectCopy
from tracker_service.archive.copying.log_files import FoundLogFiles, LogFileFinder
from tracker_service.archive.copying.streams import Streams
from tracker_service.causes.rules import Rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.copies import Copy, Strategy, WrittenLog
from tracker_service.redaction.masking import Redaction
from tracker_service.redaction.secrets import Secrets
from tracker_service.sources.webhdfs import WebHdfs


@dataclass(frozen=True, slots=True)
class Directly:
    """The aggregated files can be read."""

    why: str
    found: FoundLogFiles
    limit: int  #: bytes of the files
    secrets: Secrets | None  #: are hidden, where that is wanted

    def write(self, hdfs: WebHdfs, copy: Copy, streams: Streams, rules: Rules) -> WrittenLog:
        """Write the text of a log to the part of the try that runs; see `DirectCopy.write`.

        Args:
            rules: for the lines that may tell why the job failed.
        """
        redaction, scanner = Redaction(self.secrets) if self.secrets else None, Scanner(rules)
        return DirectCopy(hdfs, copy, self.found, self.limit, streams, scanner, redaction).write()


@dataclass(frozen=True, slots=True)
class ByWorkflow:
    """A workflow has to copy the log."""

    why: str
    log_owner: str


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no log."""

    reason: str


class Chooser:
    """Knows the ways that the settings allow.

    Args:
        strategy: the setting `copying.strategy`.
        direct_limit: bytes of aggregated files; what is longer, a workflow copies.
        retention: after which the cluster deletes aggregated logs.
        secrets: what is hidden in logs that are copied directly; None: nothing.
    """

    def __init__(
        self,
        finder: LogFileFinder,
        strategy: Strategy,
        direct_limit: int,
        retention: timedelta,
        secrets: Secrets | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._finder, self._strategy, self._limit = finder, strategy, direct_limit
        self._retention, self._secrets, self._clock = retention, secrets, clock

    @property
    def may_use_workflow(self) -> bool:
        """Tell whether a workflow may do what cannot be done directly."""
        return self._strategy == Strategy.AUTO

    def choose(self, hdfs: WebHdfs, copy: Copy, ready: Ready) -> Directly | ByWorkflow | Lost:
        """Choose the way for a log that is complete.

        Raises:
            GatewayUnavailable, CredentialsRefused: nobody can say what there is.
        """
        if copy.strategy == Strategy.WORKFLOW:  # decided before
            return ByWorkflow(copy.strategy_reason or "", ready.owner)
        if self._strategy == Strategy.WORKFLOW:
            return ByWorkflow("the setting copying.strategy", ready.owner)
        found = self._finder.find(hdfs, copy.application, ready.owner)
        if not found.files and (why_lost := self._why_lost(copy, found, ready)):
            return Lost(why_lost)
        if obstacle := self._obstacle(found):
            return ByWorkflow(obstacle, ready.owner)
        why = f"{found.length} bytes in {len(found.files)} files can be read directly"
        return Directly(why, found, self._limit, self._secrets)

    def _why_lost(self, copy: Copy, found: FoundLogFiles, ready: Ready) -> str | None:
        """Say why there is no log, if that is certain where none was found."""
        if self._clock() - copy.log_at > self._retention:
            return f"the cluster has deleted the log: it is from {copy.log_at:%Y-%m-%d %H:%M} UTC"
        if self._strategy == Strategy.DIRECT and found.denied:
            return found.denied
        if self._strategy == Strategy.DIRECT:
            return "no aggregated file was found in copying.log_directories"
        is_nowhere = self._finder.knows_the_place and not found.denied
        is_known_to_be_over = ready.finished_at is not None
        if (found.is_empty and is_known_to_be_over) or (ready.may_be_nowhere and is_nowhere):
            return "YARN has kept no log of this application: it may never have had a container"
        return None

    def _obstacle(self, found: FoundLogFiles) -> str | None:
        """Say why a log is not to be copied directly, if so."""
        if self._strategy == Strategy.DIRECT:
            return None
        if not found.files:
            return found.denied or "no aggregated file was found in copying.log_directories"
        if found.length > self._limit:
            return f"{found.length} bytes are more than copying.direct_limit allows"
        return None
