"""The service's answers about credentials and tokens, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tracker_service.client.answers import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyToken:
    """What is known of a token with which Oozie notifies."""

    id: str  #: tells it from others; it is not the token
    created: str  #: RFC 3339
    used: str | None = None  #: about when a notification came with it last
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotifyToken:
    """A token that was just made; the service never tells it again."""

    id: str
    token: str = field(repr=False)
    url: str = field(repr=False)  #: what Oozie has to call
    properties: Mapping[str, str] = field(repr=False)  #: what to set in the properties of a job
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """What became of a fresh credential."""

    user: str
    kept: bool  #: there is work for it
    released: int  #: jobs that waited for it, and go on
    raw: JsonObject = field(repr=False, compare=False)


def notify_token(body: JsonObject) -> NotifyToken:
    """Return what is known of a token."""
    return NotifyToken(id=body["id"], created=body["created"], used=body.get("used"), raw=body)


def new_notify_token(body: JsonObject) -> NewNotifyToken:
    """Return a token that was just made."""
    return NewNotifyToken(
        id=body["id"],
        token=body["token"],
        url=body["url"],
        properties=dict(body["properties"]),
        raw=body,
    )


def logged_in(body: JsonObject) -> LoggedIn:
    """Return what became of a fresh credential."""
    return LoggedIn(user=body["user"], kept=body["kept"], released=body["released"], raw=body)
