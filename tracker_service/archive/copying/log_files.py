"""Find the aggregated log files of an application in HDFS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from tracker_service.domain.applications import ApplicationId
from tracker_service.errors import AccessDenied, PathNotFound, RequestRefused
from tracker_service.sources.webhdfs import FileStatus, WebHdfs

_UPLOADING = ".tmp"
_CHECKSUM = "-checksum"  #: a file beside a rolled IFile; it says how much of the IFile is valid


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLogFiles:
    """The files in the directory of an application's aggregated logs."""

    directory: str | None  #: None: there is no directory that could be listed
    files: tuple[FileStatus, ...] = ()  #: one for each node and upload, in the order of names
    checksums: frozenset[str] = frozenset()  #: names of files that have a checksum file
    is_uploading: bool = False  #: some node still writes
    denied: str | None = None  #: why a directory could not be listed

    @property
    def is_empty(self) -> bool:
        """Tell whether there is a directory, but no node has uploaded anything into it."""
        return self.directory is not None and not (self.files or self.is_uploading)

    @property
    def length(self) -> int:
        """Return the bytes of all files."""
        return sum(file.length for file in self.files)


@dataclass(slots=True)
class LogFileFinder:
    """Finds aggregated logs, and remembers where this cluster keeps them.

    Follows `LogAggregationUtils` of Hadoop: the layouts of 2.x to 3.2, and the buckets since 3.3.
    """

    patterns: Sequence[str]  #: of directories, with {user}, {bucket} and {application}
    _last_pattern: str | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    @property
    def knows_the_place(self) -> bool:
        """Tell whether a log was found before."""
        return self._last_pattern is not None

    def find(self, hdfs: WebHdfs, application: ApplicationId, owner: str) -> FoundLogFiles:
        """List the aggregated files of an application.

        Args:
            owner: the user who ran the application.

        Raises:
            GatewayUnavailable, CredentialsRefused: the directories could not be listed.
        """
        denied, empty = None, None
        for pattern in self._in_order():
            directory = _directory(pattern, application, owner)
            try:
                entries = hdfs.list(directory)
            except PathNotFound:
                continue
            except (AccessDenied, RequestRefused) as error:
                denied = str(error)
                continue
            found = _log_files(directory, entries)
            if found.files:
                self._remember(pattern)
                return found
            empty = empty or found
        return empty or FoundLogFiles(directory=None, denied=denied)

    def _in_order(self) -> list[str]:
        with self._lock:
            last = self._last_pattern
        others = [pattern for pattern in self.patterns if pattern != last]
        return [last, *others] if last else others

    def _remember(self, pattern: str) -> None:
        with self._lock:
            self._last_pattern = pattern


def _directory(pattern: str, application: ApplicationId, owner: str) -> str:
    bucket = f"{int(application.rpartition('_')[2]) % 10000:04d}"
    return pattern.format(user=owner, bucket=bucket, application=application)


def _log_files(directory: str, entries: Sequence[FileStatus]) -> FoundLogFiles:
    files = [entry for entry in entries if not entry.is_directory]
    uploaded = [file for file in files if not file.name.endswith((_UPLOADING, _CHECKSUM))]
    return FoundLogFiles(
        directory=directory,
        files=tuple(sorted(uploaded, key=lambda file: file.name)),
        checksums=frozenset(
            file.name.removesuffix(_CHECKSUM) for file in files if file.name.endswith(_CHECKSUM)
        ),
        is_uploading=any(file.name.endswith(_UPLOADING) for file in files),
    )
