"""Copy a log by reading the aggregated files themselves: no queue, no container."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tracker_service.archive.finder import Found
from tracker_service.archive.ifile import CHECKSUM_BYTES, valid_end
from tracker_service.archive.node_file import Log, NodeFile
from tracker_service.archive.node_logs import logs_of
from tracker_service.archive.progress import Whole
from tracker_service.archive.publishing import part_path
from tracker_service.archive.streams import Streams
from tracker_service.archive.tally import Tally
from tracker_service.archive.text import as_text
from tracker_service.domain.tasks import Contents, Copy, log_directory
from tracker_service.errors import GatewayUnavailable, LeaseLost, LogFileBroken, RequestRefused
from tracker_service.sources.webhdfs import FileStatus, WebHdfs

_MOST_TEXT = 20  #: times the limit for the files: a log that unpacks to more is taken for a trap


@dataclass(slots=True)
class DirectCopy:
    """One try to copy a log directly; tells afterwards what it wrote."""

    hdfs: WebHdfs
    copy: Copy
    found: Found
    limit: int  #: bytes of the aggregated files
    streams: Streams  #: tell when to break off
    gap: str | None = None  #: what is known to be missing before
    tally: Tally = field(default_factory=Tally)
    _containers: set[str] = field(default_factory=set)
    _logs: int = 0
    _shortened: list[str] = field(default_factory=list)

    def write(self) -> Whole:
        """Write the text of all files to `part_path`, as `yarn logs` prints it.

        Returns:
            what was written.

        Raises:
            LogFileBroken: a file is damaged, or of a kind that cannot be read here.
            GatewayError: it could not be read or written.
        """
        self.hdfs.make_directory(log_directory(self.copy.owner, self.copy.job_id))
        try:
            self.hdfs.write_pieces(part_path(self.copy), self.tally.of(self._text()))
        except GatewayUnavailable as error:
            if not self.tally.length:
                raise
            # What breaks again and again in its middle is not to be tried for ever.
            told = f"it broke off after {self.tally.length} bytes: {error}"
            raise RequestRefused(told) from error
        return Whole(self.tally.length, self.tally.sha256, self._contents())

    def _text(self) -> Iterator[bytes]:
        for file in self.found.files:
            for piece in as_text(file.name, self._counted(self._logs_of(file))):
                if self.tally.length > _MOST_TEXT * self.limit:
                    raise LogFileBroken(
                        f"{file.name}: its text has more than {_MOST_TEXT * self.limit} bytes"
                    )
                if self.streams.is_stopping:
                    raise LeaseLost("this worker stops")
                yield piece

    def _logs_of(self, file: FileStatus) -> Iterator[Log]:
        path = f"{self.found.directory}/{file.name}"
        node_file = NodeFile(
            name=file.name,
            application=self.copy.application,
            length=file.length,
            modified_at=datetime.fromtimestamp(file.modified_ms / 1000, UTC),
            read=lambda offset, length: self.hdfs.read_range(path, offset, length),
        )
        if file.name in self.found.checksums:
            beside = self.hdfs.head(f"{path}-checksum", CHECKSUM_BYTES)
            return logs_of(node_file, valid_end(beside, file.name))
        return logs_of(node_file)

    def _counted(self, logs: Iterable[Log]) -> Iterator[Log]:
        for log in logs:
            self._containers.add(log.container)
            self._logs += 1
            yield replace(log, content=self._measured(log))

    def _measured(self, log: Log) -> Iterator[bytes]:
        """Yield a log's content, and note if less was there than announced."""
        length = 0
        for piece in log.content:
            length += len(piece)
            yield piece
        if log.length is None or length < log.length:
            announced = "some" if log.length is None else log.length
            self._shortened.append(f"{log.container} {log.name}: {length} bytes of {announced}")

    def _contents(self) -> Contents:
        return Contents(
            containers=len(self._containers),
            logs=self._logs,
            sources=tuple(f"{self.found.directory}/{file.name}" for file in self.found.files),
            gaps=(*([self.gap] if self.gap else []), *self._shortened),
        )
