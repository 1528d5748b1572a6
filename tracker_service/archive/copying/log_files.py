"""Find the aggregated log files of an application in HDFS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tracker_service.domain.applications import ApplicationId
from tracker_service.errors import AccessDenied, PathNotFound, RequestRefused
from tracker_service.sources.webhdfs import FileStatus, WebHdfs

_UPLOADING = ".tmp"
_CHECKSUM = "-checksum"  #: a file beside a rolled IFile; it says how much of the IFile is valid
_ARCHIVE = ".har"  #: a directory into which `mapred archive-logs` has put the files of all nodes


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file with the logs of one node, or of one upload of it."""

    path: str
    status: FileStatus
    has_checksum: bool = False  #: a file beside it says how much of it is valid

    @property
    def name(self) -> str:
        """Return the name: host and port of the node, for example `node-1_8041`."""
        return self.status.name

    @property
    def directory(self) -> str:
        """Return the directory of the application's files."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLogFiles:
    """The contents of all directories of an application's aggregated logs."""

    directories: tuple[str, ...] = ()  #: that could be listed
    files: tuple[LogFile, ...] = ()  #: in the order in which `yarn logs` prints them
    uploading: tuple[str, ...] = ()  #: paths of files that a node still writes, or never finished
    archives: tuple[str, ...] = ()  #: paths of Hadoop archives, which only `yarn logs` reads
    others: tuple[str, ...] = ()  #: paths of directories of which nobody knows what is in them
    denied: tuple[str, ...] = ()  #: why a directory could not be listed, one text for each

    @property
    def is_empty(self) -> bool:
        """Tell whether there is a directory, but no node has uploaded anything into it."""
        anything = self.files or self.uploading or self.archives or self.others
        return bool(self.directories) and not anything

    @property
    def length(self) -> int:
        """Return the bytes of all files."""
        return sum(file.status.length for file in self.files)

    @property
    def formats_differ(self) -> bool:
        """Tell whether the files lie where two formats put them; `yarn logs` prints only one."""
        return len({"-ifile/" in file.path for file in self.files}) > 1

    def unread(self) -> Iterator[str]:
        """Yield what may hold more of the log, but is not read."""
        for reason in self.denied:
            yield f"nobody knows what is in a directory that could not be listed: {reason}"
        for path in self.uploading:
            yield f"{path}: the node has not finished its upload"
        for path in (*self.archives, *self.others):
            yield f"{path}: it is a directory and was not read"


@dataclass(slots=True)
class LogFileFinder:
    """Finds aggregated logs in all places where a cluster may keep them.

    Follows `LogAggregationUtils` of Hadoop: the layouts of 2.x to 3.2, and the buckets since 3.3.
    After an upgrade, an application can have files in several of them.
    """

    patterns: Sequence[str]  #: of directories, with {user}, {bucket} and {application}
    knows_the_place: bool = field(default=False, init=False)  #: a log was found before

    def find(self, hdfs: WebHdfs, application: ApplicationId, owner: str) -> FoundLogFiles:
        """List the aggregated files of an application.

        Args:
            owner: the user who ran the application.

        Raises:
            GatewayUnavailable, CredentialsRefused: the directories could not be listed.
        """
        listed: dict[str, list[FileStatus]] = {}
        denied: list[str] = []
        for pattern in self._existing(hdfs, owner):
            directory = _directory(pattern, application, owner)
            try:
                listed[directory] = hdfs.list(directory)
            except PathNotFound:
                continue
            except (AccessDenied, RequestRefused) as error:
                denied.append(str(error))
        found = _found(listed, denied)
        self.knows_the_place |= bool(found.files)
        return found

    def _existing(self, hdfs: WebHdfs, owner: str) -> list[str]:
        """Return the patterns whose layout the cluster has for a user, in the order of `yarn logs`.

        The directory of the user shows all layouts with one request. Hadoop's own reader takes the
        layouts without buckets first.
        """
        layouts: dict[str, set[str] | None] = {}
        existing = []
        for pattern in sorted(self.patterns, key=lambda pattern: "{bucket}" in pattern):
            above, layout = _user_directory(pattern, owner)
            if above is not None and above not in layouts:
                layouts[above] = _names_in(hdfs, above)
            names = layouts[above] if above is not None else None
            if names is None or layout in names:
                existing.append(pattern)
        return existing


def _user_directory(pattern: str, owner: str) -> tuple[str | None, str]:
    """Return the directory of a user's logs and the name of the layout in it, if both are fixed."""
    root, user, rest = pattern.partition("{user}/")
    layout = rest.partition("/")[0]
    is_fixed = user and "{" not in root and "{" not in layout
    return (f"{root}{owner}" if is_fixed else None), layout


def _names_in(hdfs: WebHdfs, directory: str) -> set[str] | None:
    """Return the names in a directory; None if it may not be listed."""
    try:
        return {entry.name for entry in hdfs.list(directory)}
    except PathNotFound:
        return set()
    except (AccessDenied, RequestRefused):
        return None


def _directory(pattern: str, application: ApplicationId, owner: str) -> str:
    bucket = f"{int(application.rpartition('_')[2]) % 10000:04d}"
    return pattern.format(user=owner, bucket=bucket, application=application)


def _found(listed: dict[str, list[FileStatus]], denied: Sequence[str]) -> FoundLogFiles:
    entries = [
        LogFile(f"{directory}/{entry.name}", entry, f"{entry.name}{_CHECKSUM}" in names)
        for directory, entries in listed.items()
        for names in [{entry.name for entry in entries}]
        for entry in sorted(entries, key=lambda entry: entry.name)
    ]
    inside = [entry for entry in entries if entry.status.is_directory]
    files = [entry for entry in entries if not entry.status.is_directory]
    return FoundLogFiles(
        directories=tuple(listed),
        files=tuple(file for file in files if not file.name.endswith((_UPLOADING, _CHECKSUM))),
        uploading=tuple(file.path for file in files if file.name.endswith(_UPLOADING)),
        archives=tuple(entry.path for entry in inside if entry.name.endswith(_ARCHIVE)),
        others=tuple(entry.path for entry in inside if not entry.name.endswith(_ARCHIVE)),
        denied=tuple(denied),
    )
