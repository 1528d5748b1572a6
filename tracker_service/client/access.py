"""What the service answers about credentials and tokens, as values."""

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


def notify_token(told: JsonObject) -> NotifyToken:
    """Return what is known of a token."""
    return NotifyToken(id=told["id"], created=told["created"], used=told.get("used"), raw=told)


def new_notify_token(told: JsonObject) -> NewNotifyToken:
    """Return a token that was just made."""
    return NewNotifyToken(
        id=told["id"],
        token=told["token"],
        url=told["url"],
        properties=dict(told["properties"]),
        raw=told,
    )


def logged_in(told: JsonObject) -> LoggedIn:
    """Return what became of a fresh credential."""
    return LoggedIn(user=told["user"], kept=told["kept"], released=told["released"], raw=told)
