"""Read saved logs back, and compare their checksums with those in the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from threading import Lock

from tracker_service.archive.checksum import Checksum
from tracker_service.archive.reading.opening import open_file
from tracker_service.domain.copies import Copy
from tracker_service.errors import AccessDenied, PathNotFound, RequestRefused
from tracker_service.sources.webhdfs import WebHdfs

_PATIENCE_S = 5.0  #: for which a request waits for its verdicts
_MOST_KEPT = 1000  #: verdicts for which nobody has asked again


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of comparing one saved log."""

    is_intact: bool | None  #: None: there is nothing to compare
    explanation: str  #: what differs, or why nothing can be compared
    is_pending: bool = False  #: the log is being read back now
    is_refused: bool = False  #: HDFS does not let the reader at it

    @property
    def is_read(self) -> bool:
        """Whether HDFS was, or is being, asked for the log."""
        return self.is_pending or self.is_intact is not None


_Task = tuple[Future["Verification"], "Callable[[], Verification]"]
_PENDING = Verification(None, "it is being read back; ask again in a moment", is_pending=True)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A log that one user wants to have verified."""

    reader: str
    copy_id: str
    saved_at: datetime | None


class Verifications:
    """Reads saved logs back in the background, one log of a user at a time.

    A request waits a few seconds for its verdicts, and learns later of those that take longer.

    Args:
        executor: its threads read; the more, the more users are served at once.
    """

    def __init__(self, executor: Executor, patience_s: float = _PATIENCE_S) -> None:
        self._executor, self._patience_s = executor, patience_s
        self._lock = Lock()
        self._begun: dict[_Wanted, Future[Verification]] = {}
        self._waiting: dict[str, deque[_Task]] = {}  # by reader, while a thread reads for them

    def verdicts(
        self, hdfs: WebHdfs, reader: str, copies: Sequence[Copy]
    ) -> Mapping[str, Verification]:
        """Return the verdicts on copies, by their ids; some may be pending.

        Args:
            hdfs: opened as the reader.

        Raises:
            GatewayUnavailable, CredentialsRefused: a log could not be read.
        """
        wanted = {copy.id: _Wanted(reader, copy.id, copy.saved_at) for copy in copies}
        for copy in copies:
            self._begin(wanted[copy.id], partial(verify, hdfs, copy))
        futures = {copy_id: self._begun[key] for copy_id, key in wanted.items()}
        wait(futures.values(), timeout=self._patience_s)
        return {
            copy_id: self._verdict(wanted[copy_id], future) for copy_id, future in futures.items()
        }

    def _begin(self, key: _Wanted, work: Callable[[], Verification]) -> None:
        with self._lock:
            if key in self._begun:
                return
            if len(self._begun) > _MOST_KEPT:
                self._begun = {k: f for k, f in self._begun.items() if not f.done()}
            self._begun[key] = Future()
            is_first = key.reader not in self._waiting
            self._waiting.setdefault(key.reader, deque()).append((self._begun[key], work))
        if is_first:
            self._executor.submit(self._read_for, key.reader)

    def _verdict(self, key: _Wanted, future: Future[Verification]) -> Verification:
        if not future.done():
            return _PENDING
        with self._lock:
            self._begun.pop(key, None)  # who asks again has it read again
        return future.result()

    def _read_for(self, reader: str) -> None:
        while True:
            with self._lock:
                if not self._waiting[reader]:
                    del self._waiting[reader]
                    return
                future, work = self._waiting[reader].popleft()
            try:
                future.set_result(work())
            except Exception as error:  # the one who asks raises it
                future.set_exception(error)


def verify(hdfs: WebHdfs, copy: Copy) -> Verification:
    """Read a saved log back, in constant memory, and compare its length and checksum.

    Args:
        hdfs: opened as the user who asks.

    Raises:
        GatewayUnavailable, CredentialsRefused: the log could not be read.
    """
    if not copy.saved_at:
        return Verification(None, f"no log is saved: {copy.status}: {copy.reason}")
    if copy.part is not None:
        return Verification(None, "it gets another content right now; ask again in a moment")
    if copy.sha256 is None or copy.bytes is None:
        return Verification(
            None, "no checksum of this log is kept; copy it again with refresh=true"
        )
    try:
        return _compared(hdfs, copy, copy.bytes, copy.sha256)
    except PathNotFound:
        return Verification(False, f"{copy.path} is missing")
    except (AccessDenied, RequestRefused) as error:
        return Verification(False, f"not readable: {error}", is_refused=True)


def _compared(hdfs: WebHdfs, copy: Copy, length: int, sha256: str) -> Verification:
    file = open_file(hdfs, copy)
    with closing(file.pieces):
        if file.length != length:
            return Verification(False, f"{copy.path} has {file.length} bytes, not {length}")
        checksum = Checksum()
        for _ in checksum.of(file.pieces):
            pass
    if (checksum.length, checksum.sha256) != (length, sha256):
        return Verification(False, f"{copy.path} has the SHA-256 {checksum.sha256}, not {sha256}")
    return Verification(True, "intact")
