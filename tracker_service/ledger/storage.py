"""Look for the files of jobs, wherever fsspec can look.

See https://filesystem-spec.readthedocs.io/en/latest/api.html#built-in-implementations
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fsspec
import structlog

from tracker_service.domain.ledger import LedgerJob

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PrefixStats:
    """The files of a job."""

    files: int
    size_bytes: int


class FileStorage:
    """The buckets with the files of jobs."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        """Open a storage.

        Args:
            url: of a bucket; {bucket} stands for its name: `gs://{bucket}`, `/data/{bucket}`.
            options: of its file system, as fsspec takes them.
        """
        self._url, self._options = url, dict(options)

    def has_files(self, job: LedgerJob) -> bool:
        """Tell whether there is a file of a job; False if nobody can tell.

        The first list that has a file answers it.
        """
        try:
            system, path = self._place(job)
            return any(files for _, _, files in system.walk(path, on_error="raise"))
        except FileNotFoundError:
            return False
        except Exception as error:
            # Each file system has errors of its own; none of them is a reason to give a job out.
            log.warning("files_not_listed", job=job.key, reason=repr(error))
            return False

    def prefix_stats(self, job: LedgerJob) -> PrefixStats:
        """Return how many files a job has, and their size.

        Raises:
            FileNotFoundError: there is no such directory.
            OSError: the storage does not answer.
        """
        system, path = self._place(job)
        found = system.find(path, detail=True)
        return PrefixStats(len(found), sum(int(info["size"] or 0) for info in found.values()))

    def _place(self, job: LedgerJob) -> tuple[Any, str]:
        url = f"{self._url.format(bucket=job.bucket)}/{job.prefix}"
        system, path = fsspec.core.url_to_fs(url, **self._options)
        system.invalidate_cache()
        return system, path
