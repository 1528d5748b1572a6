"""Find the aggregated log files of an application in HDFS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from tracker_service.domain.applications import ApplicationId
from tracker_service.errors import AccessDenied, PathNotFound, RequestRefused
from tracker_service.sources.webhdfs import FileStatus, WebHdfs

_UPLOADING = ".tmp"
_CHECKSUM = "-checksum"  #: says beside a rolled IFile how much of it is valid


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLogFiles:
    """What lies in the directory of an application's aggregated logs."""

    directory: str | None  #: None where there is none that could be read
    files: tuple[FileStatus, ...] = ()  #: one for each node and upload, by name
    checksums: frozenset[str] = frozenset()  #: names of files that have a checksum beside them
    is_uploading: bool = False  #: some node still writes
    denied: str | None = None  #: why a directory could not be looked into

    @property
    def is_empty(self) -> bool:
        """Tell whether there is a directory into which no node has uploaded anything."""
        return self.directory is not None and not (self.files or self.is_uploading)

    @property
    def length(self) -> int:
        """Return the bytes of all files."""
        return sum(file.length for file in self.files)


@dataclass(slots=True)
class LogFileFinder:
    """Knows where this cluster keeps its aggregated logs, once it has found one.

    Follows `LogAggregationUtils` of Hadoop: the layouts of 2.x to 3.2, and the buckets since 3.3.
    """

    patterns: Sequence[str]  #: of directories, with {user}, {bucket} and {application}
    _winner: str | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    @property
    def knows_the_place(self) -> bool:
        """Tell whether a log was found before, so that it is known where to look."""
        return self._winner is not None

    def find(self, hdfs: WebHdfs, application: ApplicationId, owner: str) -> FoundLogFiles:
        """List the aggregated files of an application.

        Args:
            owner: the user who ran the application.

        Raises:
            GatewayUnavailable, CredentialsRefused: nobody can say.
        """
        denied, empty = None, None
        for pattern in self._in_order():
            directory = _directory(pattern, application, owner)
            try:
                listed = hdfs.list(directory)
            except PathNotFound:
                continue
            except (AccessDenied, RequestRefused) as error:
                denied = str(error)
                continue
            found = _found(directory, listed)
            if found.files:
                self._remember(pattern)
                return found
            empty = empty or found
        return empty or FoundLogFiles(directory=None, denied=denied)

    def _in_order(self) -> list[str]:
        with self._lock:
            winner = self._winner
        others = [pattern for pattern in self.patterns if pattern != winner]
        return [winner, *others] if winner else others

    def _remember(self, pattern: str) -> None:
        with self._lock:
            self._winner = pattern


def _directory(pattern: str, application: ApplicationId, owner: str) -> str:
    bucket = f"{int(application.rpartition('_')[2]) % 10000:04d}"
    return pattern.format(user=owner, bucket=bucket, application=application)


def _found(directory: str, listed: Sequence[FileStatus]) -> FoundLogFiles:
    plain = [file for file in listed if not file.is_directory]
    whole = [file for file in plain if not file.name.endswith((_UPLOADING, _CHECKSUM))]
    return FoundLogFiles(
        directory=directory,
        files=tuple(sorted(whole, key=lambda file: file.name)),
        checksums=frozenset(
            file.name.removesuffix(_CHECKSUM) for file in plain if file.name.endswith(_CHECKSUM)
        ),
        is_uploading=any(file.name.endswith(_UPLOADING) for file in plain),
    )
