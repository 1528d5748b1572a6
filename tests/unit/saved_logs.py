"""Saved logs for tests, and an HDFS that records what is read of them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from tracker_service.archive.reading.saved_log import SavedLog
from tracker_service.sources.webhdfs import WebHdfs

CONTAINER = "container_1_01"
NODE = "localhost_8041"


def a_file(container: str, name: str, content: bytes, announced: int | None = None) -> bytes:
    """Return a file of a container as the tracker and Hadoop 3 write it."""
    length = len(content) if announced is None else announced
    title = f"Container: {container} on {NODE}"
    foot = f"End of LogType:{name}"
    head = (
        f"{title}\nLogAggregationType: AGGREGATED\n{'=' * len(title)}\nLogType:{name}\n"
        f"LogLastModifiedTime:Sun Nov 22 04:12:46 +0000 2026\nLogLength:{length}\nLogContents:\n"
    )
    return head.encode() + content + f"\n{foot}\n{'*' * (len(foot) + 50)}\n\n".encode()


@dataclass
class LogInHdfs(WebHdfs):
    """One file, whose bytes come in pieces of some length."""

    content: bytes
    piece_bytes: int = 64 * 1024
    ranges: list[tuple[int, int]] = field(default_factory=list)  #: offsets and lengths
    sent: int = 0  #: bytes
    open: int = 0  #: streams

    def read_range(self, path: str, offset: int, length: int) -> Generator[bytes, None, None]:
        self.ranges.append((offset, length))
        self.open += 1
        try:
            for start in range(offset, offset + length, self.piece_bytes):
                piece = self.content[start : min(start + self.piece_bytes, offset + length)]
                self.sent += len(piece)
                yield piece
        finally:
            self.open -= 1


def opened(hdfs: LogInHdfs) -> SavedLog:
    return SavedLog(hdfs, "/a.log", len(hdfs.content), "1")


def saved(content: bytes, piece_bytes: int = 64 * 1024) -> SavedLog:
    return opened(LogInHdfs(content, piece_bytes))
