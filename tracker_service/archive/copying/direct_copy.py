"""Copy a log by reading the aggregated files themselves: no queue, no container."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event

from tracker_service.archive.checksum import Checksum
from tracker_service.archive.copying.log_files import FoundLogFiles
from tracker_service.archive.formats.ifile import CHECKSUM_BYTES, valid_end
from tracker_service.archive.formats.node_file import Log, NodeFile
from tracker_service.archive.formats.node_logs import logs_of
from tracker_service.archive.formats.yarn_text import as_text
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.copies import Contents, Copy, WrittenLog, part_path
from tracker_service.errors import GatewayUnavailable, LogFileBroken, RequestRefused, WorkerStops
from tracker_service.redaction.masking import Redaction
from tracker_service.sources.webhdfs import FileStatus, WebHdfs

_LONGEST_S = 3600.0  #: for one try
_MOST_CONTAINERS = 100_000  #: that are counted: a job has 10,000 at most
_MOST_GAPS = 100  #: shortened logs that are named
_MOST_TEXT = 20  #: times the limit for the files: a log that unpacks to more is taken for a trap


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
    checksum: Checksum = field(default_factory=Checksum)
    _received: int = 0  #: bytes of the aggregated files
    _containers: set[str] = field(default_factory=set)
    _logs: int = 0
    _shortened: list[str] = field(default_factory=list)
    _deadline: float = field(default_factory=lambda: time.monotonic() + _LONGEST_S)

    def write(self) -> WrittenLog:
        """Write the text of all files to `part_path`, as `yarn logs` prints it.

        Raises:
            LogFileBroken: a file is damaged, or of a kind that cannot be read here.
            GatewayError: a file could not be read, or the part could not be written.
            WorkerStops: this process ends.
        """
        self.hdfs.make_directory(self.copy.directory)
        try:
            self.hdfs.write_pieces(
                part_path(self.copy), self.checksum.of(self.scanner.of(self._text()))
            )
        except GatewayUnavailable as error:
            if not self._received:
                raise
            # A log that breaks in its middle again and again is not to be tried for ever.
            reason = f"it broke off after {self._received} bytes of the files: {error}"
            raise RequestRefused(reason) from error
        if not self.checksum.length:
            raise LogFileBroken(f"{self.found.directory} holds no log")
        return WrittenLog(self.checksum.length, self.checksum.sha256, self._contents())

    def _text(self) -> Iterator[bytes]:
        for file in self.found.files:
            for piece in as_text(file.name, self._counted(self._logs_of(file))):
                if self.checksum.length > _MOST_TEXT * self.limit:
                    raise LogFileBroken(
                        f"{file.name}: its text has more than {_MOST_TEXT * self.limit} bytes"
                    )
                yield piece

    def _logs_of(self, file: FileStatus) -> Iterator[Log]:
        path = f"{self.found.directory}/{file.name}"
        node_file = NodeFile(
            name=file.name,
            application=self.copy.application,
            length=file.length,
            modified_at=datetime.fromtimestamp(file.modified_ms / 1000, UTC),
            read=lambda offset, length: self._read(path, offset, length),
        )
        if file.name in self.found.checksums:
            checksum_file = self.hdfs.head(f"{path}-checksum", CHECKSUM_BYTES)
            return logs_of(node_file, valid_end(checksum_file, file.name))
        return logs_of(node_file)

    def _read(self, path: str, offset: int, length: int) -> Generator[bytes, None, None]:
        """Yield a range of a file, and end the try if it takes too long or the worker stops.

        This is checked where bytes come in, because few bytes can unpack to very many.
        """
        with closing(self.hdfs.read_range(path, offset, length)) as pieces:
            for piece in pieces:
                if self.stopping.is_set():
                    raise WorkerStops("this worker stops")
                if time.monotonic() > self._deadline:
                    raise LogFileBroken(f"{path}: it takes longer than {_LONGEST_S:.0f} s")
                self._received += len(piece)
                yield piece

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
        """Yield a log's content, and note a gap if it is shorter than announced."""
        length = 0
        for piece in log.content:
            length += len(piece)
            yield piece
        is_short = log.length is None or length < log.length
        if is_short and len(self._shortened) < _MOST_GAPS:
            announced = "some" if log.length is None else log.length
            self._shortened.append(f"{log.container} {log.name}: {length} bytes of {announced}")

    def _contents(self) -> Contents:
        return Contents(
            containers=len(self._containers),
            logs=self._logs,
            sources=tuple(f"{self.found.directory}/{file.name}" for file in self.found.files),
            redacted=dict(self.redaction.counts) if self.redaction else None,
            gaps=(*([self.copy.gap] if self.copy.gap else []), *self._shortened),
            findings=self.scanner.findings.as_json(),
        )
