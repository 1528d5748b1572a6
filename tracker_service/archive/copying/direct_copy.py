"""Copy a log by reading the aggregated files themselves: no queue, no container."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tracker_service.archive.checksum import Tally
from tracker_service.archive.copying.log_files import FoundLogFiles
from tracker_service.archive.copying.publishing import part_path
from tracker_service.archive.copying.streams import Streams
from tracker_service.archive.formats.ifile import CHECKSUM_BYTES, valid_end
from tracker_service.archive.formats.node_file import Log, NodeFile
from tracker_service.archive.formats.node_logs import logs_of
from tracker_service.archive.formats.yarn_text import as_text
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.copies import Contents, Copy, WrittenLog
from tracker_service.errors import GatewayUnavailable, LeaseLost, LogFileBroken, RequestRefused
from tracker_service.redaction.masking import Redaction
from tracker_service.sources.webhdfs import FileStatus, WebHdfs

_LONGEST_S = 3600.0  #: for one try
_MOST_NOTED = 100_000  #: containers that are told apart: a job has 10,000 at most
_MOST_GAPS = 100  #: shortened logs that are named
_MOST_TEXT = 20  #: times the limit for the files: a log that unpacks to more is taken for a trap


@dataclass(slots=True)
class DirectCopy:
    """One try to copy a log directly; tells afterwards what it wrote."""

    hdfs: WebHdfs
    copy: Copy
    found: FoundLogFiles
    limit: int  #: bytes of the aggregated files
    streams: Streams  #: tell when to break off
    scanner: Scanner  #: looks for the cause, after the secrets are hidden
    redaction: Redaction | None  #: hides secrets, where it is on
    tally: Tally = field(default_factory=Tally)
    _received: int = 0  #: bytes of the aggregated files
    _containers: set[str] = field(default_factory=set)
    _logs: int = 0
    _shortened: list[str] = field(default_factory=list)
    _deadline: float = field(default_factory=lambda: time.monotonic() + _LONGEST_S)

    def write(self) -> WrittenLog:
        """Write the text of all files to `part_path`, as `yarn logs` prints it.

        Returns:
            what was written.

        Raises:
            LogFileBroken: a file is damaged, or of a kind that cannot be read here.
            GatewayError: it could not be read or written.
        """
        self.hdfs.make_directory(self.copy.directory)
        try:
            self.hdfs.write_pieces(
                part_path(self.copy), self.tally.of(self.scanner.of(self._text()))
            )
        except GatewayUnavailable as error:
            if not self._received:
                raise
            # What breaks again and again in its middle is not to be tried for ever.
            told = f"it broke off after {self._received} bytes of the files: {error}"
            raise RequestRefused(told) from error
        if not self.tally.length:
            raise LogFileBroken(f"{self.found.directory} holds no log")
        return WrittenLog(self.tally.length, self.tally.sha256, self._contents())

    def _text(self) -> Iterator[bytes]:
        for file in self.found.files:
            for piece in as_text(file.name, self._counted(self._logs_of(file))):
                if self.tally.length > _MOST_TEXT * self.limit:
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
            beside = self.hdfs.head(f"{path}-checksum", CHECKSUM_BYTES)
            return logs_of(node_file, valid_end(beside, file.name))
        return logs_of(node_file)

    def _read(self, path: str, offset: int, length: int) -> Generator[bytes, None, None]:
        """Yield a part of a file, as long as this try may go on.

        It is here that a try is ended, because little of a file can unpack to very much.
        """
        with closing(self.hdfs.read_range(path, offset, length)) as pieces:
            for piece in pieces:
                if self.streams.is_stopping:
                    raise LeaseLost("this worker stops")
                if time.monotonic() > self._deadline:
                    raise LogFileBroken(f"{path}: it takes longer than {_LONGEST_S:.0f} s")
                self._received += len(piece)
                yield piece

    def _counted(self, logs: Iterable[Log]) -> Iterator[Log]:
        for log in logs:
            if len(self._containers) < _MOST_NOTED:
                self._containers.add(log.container)
            self._logs += 1
            yield replace(log, content=self._to_be_written(log))

    def _to_be_written(self, log: Log) -> Iterator[bytes]:
        """Yield a log's content as it is written; its length is announced as YARN has it."""
        content = self._measured(log)
        if self.redaction:
            content = self.redaction.of(content)
        return content

    def _measured(self, log: Log) -> Iterator[bytes]:
        """Yield a log's content, and note if less was there than announced."""
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
