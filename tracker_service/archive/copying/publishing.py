"""Give a complete part the name of the log, so that a log is never half visible."""

from __future__ import annotations

from tracker_service.archive.copying.progress import Progress
from tracker_service.domain.copies import Copy, WrittenLog
from tracker_service.domain.leases import Lease
from tracker_service.errors import PathNotFound, RequestRefused
from tracker_service.sources.webhdfs import WebHdfs


def part_path(copy: Copy) -> str:
    """Return where the try that runs now writes: no two tries share a file."""
    return f"{copy.path}.part-{copy.id}-{copy.attempt}"


def is_part(name: str, copy: Copy) -> bool:
    """Tell whether a file of this name was written by some try of a copy."""
    return name.startswith(f"{copy.file_name}.part-{copy.id}-")


def publish(hdfs: WebHdfs, progress: Progress, copy: Copy, lease: Lease, whole: WrittenLog) -> None:
    """Give a complete part the name of the log.

    1. Look whether the part has the length of what was written, and write down what it is; the
       lease is checked in the same moment.
    2. Rename, which replaces an older copy in one step.
    3. Look at the log under its name: the rename answers with an empty 200, done or not.
    After a crash between 2 and 3 the part is gone, and the log has the length of step 1: then
    `whole` is what was written down.

    Raises:
        RequestRefused: part or log have another length.
        PathNotFound: there is neither.
        LeaseLost: the copy is somebody else's work.
    """
    part = part_path(copy)
    try:
        length = hdfs.status(part).length
    except PathNotFound:
        if copy.part is None:
            raise
    else:
        _compare(part, length, whole)
        progress.measured(copy, lease, whole)
        hdfs.rename(part, copy.path)
    _compare(copy.path, hdfs.status(copy.path).length, whole)


def _compare(path: str, length: int, whole: WrittenLog) -> None:
    if length != whole.length:
        raise RequestRefused(f"{path} has {length} bytes, not {whole.length}")


def remove_parts(hdfs: WebHdfs, copy: Copy) -> None:
    """Remove what the tries of a copy have written of the log and not published."""
    try:
        listed = hdfs.list(copy.directory)
    except PathNotFound:
        return
    for file in listed:
        if is_part(file.name, copy):
            hdfs.delete(f"{copy.directory}/{file.name}")
