"""Put the logs of earlier runs of a job out of the way of its newest run."""

from __future__ import annotations

from tracker_service.archive.manifest import MANIFEST
from tracker_service.domain.tasks import Copy, Lease, log_directory, run_directory
from tracker_service.errors import PathNotFound
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.store import copies, jobsets
from tracker_service.store.engine import Store


def put_away_earlier(store: Store, hdfs: WebHdfs, copy: Copy, lease: Lease) -> None:
    """Move the logs of the runs before a copy's run to `run-<n>/`, with their manifest.

    Each move is one step of the NameNode and is noted behind it; what a crash in between leaves is
    found moved, and noted, by the next call.

    Raises:
        LeaseLost, GatewayError: not all is moved; call again.
    """
    if not copy.run:
        return
    with store.read() as connection:
        earlier = copies.of_earlier_runs(connection, copy)
    directory = log_directory(copy.owner, copy.job_id)
    in_the_way = [old for old in earlier if old.path.rpartition("/")[0] == directory]
    if not in_the_way:
        return
    _move(hdfs, directory, run_directory(copy.owner, copy.job_id, in_the_way[0].run), MANIFEST)
    for old in in_the_way:
        target = run_directory(copy.owner, copy.job_id, old.run)
        name = old.path.rpartition("/")[2]
        _move(hdfs, directory, target, name)
        with store.begin() as connection:
            jobsets.guard(connection, lease)
            copies.moved(connection, old, f"{target}/{name}")


def _move(hdfs: WebHdfs, source: str, target: str, name: str) -> None:
    hdfs.make_directory(target)
    try:
        hdfs.status(f"{source}/{name}")
    except PathNotFound:
        return  # moved before a crash, or removed by its owner
    hdfs.rename(f"{source}/{name}", f"{target}/{name}")
