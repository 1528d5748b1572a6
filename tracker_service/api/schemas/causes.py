"""The answers about failures: causes, and families of failures with the same cause."""

from __future__ import annotations

from dataclasses import asdict
from typing import Self

from pydantic import Field, RootModel

from tracker_service.api.schemas.base import Instant, Schema
from tracker_service.domain.applications import short
from tracker_service.domain.causes import Category, Quote, Retryable, Source
from tracker_service.store.causes import Others
from tracker_service.store.failure_groups import NAMED, FailureGroup
from tracker_service.tracking.causes import Card


class QuoteAnswer(Schema):
    """A line that proves a cause, and where it stands."""

    source: Source
    text: str
    action: str | None
    application: str | None = Field(description="without `application_`")
    container: str | None
    file: str | None
    line: int | None = Field(description="in that file, from 1")
    offset: int | None = Field(description="of its first byte in the saved log")

    @classmethod
    def of(cls, quote: Quote) -> Self:
        """Return a quote as clients see it."""
        application = short(quote.application) if quote.application else None
        return cls(**{**asdict(quote), "application": application})


class OthersAnswer(Schema):
    """Other jobs with a failure of the same family, of those that you may see."""

    jobs: int
    since: Instant = Field(description="when the first of them failed, a day before at most")
    until: Instant = Field(description="when the last of them failed")

    @classmethod
    def of(cls, others: Others) -> Self:
        """Return others as clients see them."""
        return cls(jobs=others.jobs, since=others.first_at, until=others.last_at)


class CauseAnswer(Schema):
    """Why a run of a job failed."""

    id: str = Field(description="of the job")
    run: int
    category: Category
    summary: str = Field(description="one sentence")
    hint: str = Field(description="what you can do")
    retryable: Retryable
    confidence: float = Field(ge=0, le=1)
    rule: str = Field(description="which decided, `unknown` if none did")
    fingerprint: str = Field(description="the same for failures of one family")
    action: str | None = Field(description="that failed")
    error: str | None = Field(description="the innermost, in its own words")
    exit_code: int | None
    evidence: list[QuoteAnswer] = Field(description="up to five; the first proves it best")
    complete: bool = Field(
        description="false while logs are still to come, or if some could not be read"
    )
    failed_at: Instant | None
    decided_at: Instant | None = Field(description="null: just now, from what is known so far")
    also_hit: OthersAnswer | None = Field(description="null if it hit no other job of yours")

    @classmethod
    def of(cls, card: Card) -> Self:
        """Return a cause as one caller sees it."""
        cause = card.cause
        return cls(
            id=card.job_id,
            run=card.run,
            category=cause.category,
            summary=cause.summary,
            hint=cause.hint,
            retryable=cause.retryable,
            confidence=cause.confidence,
            rule=cause.rule,
            fingerprint=cause.fingerprint,
            action=cause.action,
            error=cause.error,
            exit_code=cause.exit_code,
            evidence=[QuoteAnswer.of(quote) for quote in cause.evidence],
            complete=cause.is_complete,
            failed_at=card.failed_at,
            decided_at=card.decided_at,
            also_hit=OthersAnswer.of(card.others) if card.others else None,
        )


class FamilyAnswer(Schema):
    """Failures of one family, of those that you may see."""

    fingerprint: str
    category: Category = Field(description="this and the summary are those of the newest")
    summary: str
    count: int = Field(description="jobs")
    first_seen: Instant
    last_seen: Instant
    jobs: list[str] = Field(description=f"the newest first, at most {NAMED}")
    users: list[str] = Field(
        description=f"who submitted them; whose failed last first, at most {NAMED}"
    )

    @classmethod
    def of(cls, family: FailureGroup) -> Self:
        """Return a family as clients see it."""
        return cls(
            fingerprint=family.fingerprint,
            category=family.category,
            summary=family.summary,
            count=family.count,
            first_seen=family.first_at,
            last_seen=family.last_at,
            jobs=list(family.jobs),
            users=list(family.users),
        )


class FamilyAnswers(RootModel[list[FamilyAnswer]]):
    """Families of failures, the one that failed last first."""
