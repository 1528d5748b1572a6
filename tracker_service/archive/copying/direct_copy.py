"""Copy a log by reading the aggregated files themselves: no queue, no container."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from threading import Event

from tracker_service.archive.checksum import Checksum
from tracker_service.archive.copying import target
from tracker_service.archive.copying.log_files import FoundLogFiles, LogFile
from tracker_service.archive.formats.ifile import CHECKSUM_BYTES, valid_end
from tracker_service.archive.formats.node_file import Log, NodeFile
from tracker_service.archive.formats.node_logs import logs_of
from tracker_service.archive.formats.pieces import UnknownCompression
from tracker_service.archive.formats.yarn_text import as_text
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.copies import Contents, Copy, WrittenLog, part_path
from tracker_service.domain.work_budget import WorkBudget
from tracker_service.errors import (
    AccessDenied,
    GatewayUnavailable,
    LogFileBroken,
    NotFound,
    RequestRefused,
    TooMuchWork,
    TrackerError,
)
from tracker_service.redaction.masking import Redaction
from tracker_service.sources.webhdfs import WebHdfs

_MOST_CONTAINERS = 100_000  #: that are counted: a job has 10,000 at most
_MOST_GAPS = 100  #: shortened logs that are named
_MOST_TEXT = (
    20  #: times the limit, or the files if longer: a log that unpacks to more is taken for a trap
)
_UNREADABLE = (LogFileBroken, AccessDenied, NotFound, RequestRefused)  #: another file may be whole


@dataclass(slots=True)
class DirectCopy:
    """One try to copy a log directly. It is used once."""

    hdfs: WebHdfs
    copy: Copy
    found: FoundLogFiles
    limit: int  #: bytes of the aggregated files
    stopping: Event  #: set when the copy has to break off
    scanner: Scanner  #: looks for the cause, after the secrets are hidden
    redaction: Redaction | None  #: hides secrets; None: they stay
    is_last: bool = True  #: no other try can do better: what breaks off is left out
    has_workflow: bool = False  #: fail where only a workflow can unpack a file
    checksum: Checksum = field(default_factory=Checksum)
    _containers: set[str] = field(default_factory=set)
    _logs: int = 0
    _gaps: list[str] = field(default_factory=list)
    _broken: list[TrackerError] = field(default_factory=list)  #: why files were not read to the end
    _budget: WorkBudget = field(init=False)

    def __post_init__(self) -> None:
        most = _MOST_TEXT * max(self.limit, self.found.length)
        self._budget = WorkBudget(most_written=most, stopping=self.stopping)

    def write(self) -> WrittenLog:
        """Write the text of all files to `part_path`, as `yarn logs` prints it.

        What cannot be read of a file is left out, and noted as a gap.

        Raises:
            LogFileBroken: nothing can be read, or too much: the files are damaged, or of a kind
                that is unknown here.
            TargetRefused: HDFS does not take the part.
            GatewayError: no file could be read, or the part could not be written.
            WorkerStops: this process ends.
        """
        pieces = self.checksum.of(self.scanner.of(self._text()))
        try:
            with target.writing():
                self.hdfs.make_directory(self.copy.directory)
                self.hdfs.write_pieces(part_path(self.copy), pieces)
        except GatewayUnavailable as error:
            if not self._budget.read:
                raise
            # A log that breaks in its middle again and again is not to be tried for ever.
            reason = f"it broke off after {self._budget.read} bytes of the files: {error}"
            raise RequestRefused(reason) from error
        if not self.checksum.length:
            nothing = LogFileBroken(f"{', '.join(self.found.directories)}: there is no log in it")
            raise next(iter(self._broken), nothing)
        return WrittenLog(self.checksum.length, self.checksum.sha256, self._contents())

    def _text(self) -> Iterator[bytes]:
        """Yield the text of all files, cut where it asks for too much and nobody else can copy it.

        Raises:
            TooMuchWork: a workflow may copy it.
        """
        try:
            for file in self.found.files:
                for piece in self._readable_text(file):
                    self._budget.charge_written(len(piece))
                    yield piece
        except TooMuchWork as error:
            if self.has_workflow:
                raise
            self._broken.append(error)
            self._note_gap(f"the log is cut here: {error}")

    def _readable_text(self, file: LogFile) -> Iterator[bytes]:
        """Yield the text of a file as far as it can be read, and note what is wrong with the file.

        Raises:
            GatewayUnavailable: another try may read it.
            CredentialsRefused, WorkerStops: no other file can be read either.
        """
        try:
            yield from as_text(file.name, self._counted(self._logs_of(file)))
        except TooMuchWork:
            raise
        except _UNREADABLE as error:
            if isinstance(error, UnknownCompression) and self.has_workflow:
                raise
            self._broken.append(error)
            has_path = not isinstance(error, LogFileBroken)  # HDFS names the path itself
            self._note_gap(f"{error}" if has_path else f"{file.directory}/{error}")
        except GatewayUnavailable as error:
            if not (self.is_last and self._budget.read):
                raise
            self._broken.append(error)
            self._note_gap(str(error))

    def _note_gap(self, gap: str) -> None:
        if len(self._gaps) < _MOST_GAPS:
            self._gaps.append(gap)

    def _logs_of(self, file: LogFile) -> Iterator[Log]:
        node_file = NodeFile(
            name=file.name,
            application=self.copy.application,
            length=file.status.length,
            modified_at=datetime.fromtimestamp(file.status.modified_ms / 1000, UTC),
            read=partial(self.hdfs.read_range, file.path),
            budget=self._budget,
        )
        if file.has_checksum:
            checksum_file = self.hdfs.head(f"{file.path}-checksum", CHECKSUM_BYTES)
            return logs_of(node_file, valid_end(checksum_file, file.name))
        return logs_of(node_file)

    def _counted(self, logs: Iterable[Log]) -> Iterator[Log]:
        for log in logs:
            if len(self._containers) < _MOST_CONTAINERS:
                self._containers.add(log.container)
            self._logs += 1
            yield replace(log, content=self._redacted(log))

    def _redacted(self, log: Log) -> Iterator[bytes]:
        """Yield a log's content without secrets; the length in its header stays YARN's."""
        content = self._measured(log)
        if self.redaction:
            content = self.redaction.of(content)
        return content

    def _measured(self, log: Log) -> Iterator[bytes]:
        """Yield a log's content as far as it can be read; note a gap if that is not all of it."""
        length, broken = 0, None
        try:
            for piece in log.content:
                length += len(piece)
                yield piece
        except TooMuchWork:
            raise
        except LogFileBroken as error:  # the next log may be whole
            self._broken.append(error)
            broken = error
        if broken or log.length is None or length < log.length:
            announced = "some" if log.length is None else log.length
            why = f" ({broken})" if broken else ""
            self._note_gap(f"{log.container} {log.name}: {length} bytes of {announced}{why}")

    def _contents(self) -> Contents:
        return Contents(
            containers=len(self._containers),
            logs=self._logs,
            sources=tuple(file.path for file in self.found.files),
            redacted=dict(self.redaction.counts) if self.redaction else None,
            gaps=(*([self.copy.gap] if self.copy.gap else []), *self._gaps),
            findings=self.scanner.findings.as_json(),
        )
