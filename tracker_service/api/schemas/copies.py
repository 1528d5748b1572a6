"""The answers about copies of logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Self

from pydantic import Field

from tracker_service.api.schemas.base import Instant, Schema
from tracker_service.archive.verification import Verification
from tracker_service.domain.applications import short
from tracker_service.domain.copies import (
    Completeness,
    Copy,
    CopyStatus,
    Strategy,
    one_per_application,
)
from tracker_service.tracking.lookup import JobCopies
from tracker_service.tracking.safety import completeness, deleted_at


class CopyAnswer(Schema):
    """The copy of one application's log."""

    id: str = Field(description="of the tracked job")
    application: str = Field(description="without `application_`")
    job: str | None = Field(
        description="what copies the log: an Oozie workflow; directly, the id of the copy"
    )
    status: CopyStatus
    path: str = Field(description="of the log in HDFS")
    bytes: int | None = Field(description="length of the saved log")
    reason: str | None = Field(description="why the status is not SUCCEEDED")
    run: int = Field(description="of the job")
    strategy: Strategy | None = Field(description="how it is copied; null until that is decided")
    strategy_reason: str | None = Field(description="why this way")
    completeness: Completeness | None = Field(
        description="how much of the log is saved; null while that is open, or nobody wants it"
    )
    gaps: list[str] = Field(description="what is known to be missing in the saved log")
    sha256: str | None = Field(description="of the saved log")
    containers: int | None = Field(description="in the saved log; null if nobody counted them")
    attempts: int = Field(description="tries so far")
    saved_at: Instant | None
    deleted_at: Instant | None = Field(
        description="when the cluster deletes its log; null once the copy is finished"
    )

    @classmethod
    def of(cls, copy: Copy, retention: timedelta) -> Self:
        """Return a copy as clients see it.

        Args:
            retention: how long the cluster keeps a log.
        """
        contents = copy.contents if copy.saved_at else None
        return cls(
            id=copy.job_id,
            application=short(copy.application),
            job=copy.job,
            status=copy.status,
            path=copy.path,
            bytes=copy.bytes if copy.saved_at else None,
            reason=None if copy.status == CopyStatus.SUCCEEDED else copy.reason,
            run=copy.run,
            strategy=None if copy.strategy == Strategy.AUTO else copy.strategy,
            strategy_reason=copy.strategy_reason,
            completeness=completeness(copy),
            gaps=list(contents.gaps) if contents else [],
            sha256=copy.sha256 if copy.saved_at else None,
            containers=contents.containers if contents else None,
            attempts=copy.attempt,
            saved_at=copy.saved_at,
            deleted_at=deleted_at(copy, retention),
        )


CopiesByApplication = dict[str, CopyAnswer]


def by_application(copies: Sequence[Copy], retention: timedelta) -> CopiesByApplication:
    """Return copies, each under its application."""
    return {
        short(copy.application): CopyAnswer.of(copy, retention)
        for copy in one_per_application(copies)
    }


class VerifiedCopyAnswer(CopyAnswer):
    """The copy of one application's log, and whether it still is what was saved."""

    verified: bool | None = Field(
        default=None, description="null where it was not asked for or no checksum is kept"
    )
    verdict: str | None = Field(default=None, description="`intact`, what differs, or why null")
    verifying: bool = Field(
        default=False, description="the log is being read back: ask again for the verdict"
    )

    def judged(self, verdict: Verification | None) -> Self:
        """Return the same with the verdict on it, if there is one."""
        if verdict is None:
            return self
        return self.model_copy(
            update={
                "verified": verdict.is_intact,
                "verdict": verdict.explanation,
                "verifying": verdict.is_pending,
            }
        )


class CopyStatusAnswer(Schema):
    """How far the copying of a job's logs is."""

    finished: bool = Field(description="nothing more will be copied")
    succeeded: bool = Field(description="and all that there was is saved")
    jobs: dict[str, VerifiedCopyAnswer]

    @classmethod
    def of(cls, found: JobCopies, verdicts: Mapping[str, Verification]) -> Self:
        """Return how far the copying is.

        Args:
            verdicts: on the copies that were verified, by the ids of these.
        """
        succeeded = all(copy.status == CopyStatus.SUCCEEDED for copy in found.copies)
        return cls(
            finished=found.is_finished,
            succeeded=found.is_finished and succeeded,
            jobs={
                short(copy.application): VerifiedCopyAnswer.of(copy, found.retention).judged(
                    verdicts.get(copy.id)
                )
                for copy in one_per_application(found.copies)
            },
        )


class RemovedAnswer(Schema):
    """What was removed."""

    id: str
    removed: list[str] = Field(description="paths in HDFS")


class CopyLogsAnswer(Schema):
    """How far the copying of several jobs' logs is."""

    finished: bool = Field(description="nothing more will be copied")
    succeeded: bool = Field(description="and all that there was is saved")
    jobs: list[CopyAnswer] = Field(description="every application of these jobs known so far")
    not_found: list[str] = Field(description="ids that Oozie does not know")

    @classmethod
    def of(cls, found: Iterable[JobCopies], not_found: Iterable[str]) -> Self:
        """Return how far the copying is."""
        found = list(found)
        copies = [(copy, job.retention) for job in found for copy in job.copies]
        finished = all(job.is_finished for job in found)
        succeeded = all(copy.status == CopyStatus.SUCCEEDED for copy, _ in copies)
        return cls(
            finished=finished,
            succeeded=finished and succeeded,
            jobs=[CopyAnswer.of(copy, retention) for copy, retention in copies],
            not_found=list(not_found),
        )
