"""Read saved logs back, and compare their checksums with those in the store."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from tracker_service.archive.checksum import Checksum
from tracker_service.archive.reading.opening import open_file
from tracker_service.domain.copies import Copy
from tracker_service.errors import AccessDenied, PathNotFound, RequestRefused
from tracker_service.sources.webhdfs import WebHdfs


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of comparing one saved log."""

    is_intact: bool | None  #: None: there is nothing to compare
    explanation: str  #: what differs, or why nothing can be compared


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
        return Verification(False, f"not readable: {error}")


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
