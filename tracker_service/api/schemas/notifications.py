"""Oozie's notifications, and the answers about the tokens for them."""

from __future__ import annotations

from typing import Self
from urllib.parse import quote

from pydantic import BaseModel, Field, RootModel

from tracker_service.api.schemas.base import Instant, Schema
from tracker_service.api.schemas.queries import PathJobId
from tracker_service.store.notify_tokens import ID_LENGTH, KeptNotifyToken
from tracker_service.tracking.notifications import NewToken

#: Each property of a job that Oozie knows, with what it puts in the place of the job's id.
_PROPERTIES = {
    "oozie.wf.workflow.notification.url": "$jobId",
    "oozie.coord.action.notification.url": "$actionId",
}


class NotifyPath(BaseModel):
    """The path of a notification, which has the token."""

    token: str


class NotifyQuery(BaseModel):
    """What Oozie sends; other parameters are ignored."""

    id: PathJobId = Field(description="`$jobId`, or the `$actionId` of a coordinator")
    status: str = Field("", description="`$status`; it is not believed")


class TokenPath(BaseModel):
    """A path that names a token of the caller."""

    token_id: str = Field(pattern=f"^[0-9a-f]{{{ID_LENGTH}}}$")


class NotifyAnswer(Schema):
    """The answer to a notification."""

    id: str = Field(description="the job")
    hinted: bool = Field(description="the job is checked soon")
    message: str


class TokenAnswer(Schema):
    """A token, without its secret part."""

    id: str = Field(description="tells it from your other tokens; it is not the token")
    created: Instant
    used: Instant | None = Field(description="about when a notification came with it last")

    @classmethod
    def of(cls, token: KeptNotifyToken) -> Self:
        """Return a token as its owner sees it."""
        return cls(id=token.id, created=token.created_at, used=token.used_at)


class TokenAnswers(RootModel[list[TokenAnswer]]):
    """The tokens of the caller, the oldest first."""


class NewTokenAnswer(TokenAnswer):
    """A new token; this is the only answer that has it."""

    token: str
    url: str = Field(description="what Oozie has to call")
    properties: dict[str, str] = Field(description="what to set in the properties of a job")

    @classmethod
    def made(cls, new: NewToken, root: str) -> Self:
        """Return a new token with the URL and the properties for Oozie.

        Args:
            root: the URL of the service, as its callers see it.
        """
        base = f"{root.rstrip('/')}/api/notify/{quote(new.token)}"
        urls = {name: f"{base}?id={put}&status=$status" for name, put in _PROPERTIES.items()}
        return cls(
            id=new.kept.id,
            created=new.kept.created_at,
            used=None,
            token=new.token,
            url=urls["oozie.wf.workflow.notification.url"],
            properties=urls,
        )
