"""Tell the refusals of the place where logs are saved from all others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tracker_service.domain.copies import Copy, part_path
from tracker_service.errors import AccessDenied, NotFound, RequestRefused, TargetRefused
from tracker_service.sources.webhdfs import WebHdfs


@contextmanager
def writing() -> Iterator[None]:
    """Raise TargetRefused in place of each refusal of HDFS in the block.

    A quota can be raised and a permission corrected, so the log waits instead of being lost.
    """
    try:
        yield
    except (AccessDenied, NotFound, RequestRefused) as error:
        raise TargetRefused(str(error)) from error


def check(hdfs: WebHdfs, copy: Copy) -> None:
    """Write one byte where the running try of a copy writes.

    Where a workflow could not write, its own reason may be lost for the same cause.

    Raises:
        TargetRefused: HDFS takes nothing there.
        GatewayUnavailable, CredentialsRefused: nobody can say.
    """
    with writing():
        hdfs.write(part_path(copy), b"\n")
