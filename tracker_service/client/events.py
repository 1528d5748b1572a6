"""The service's answers about events, subscriptions and deliveries, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tracker_service.client.answers import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription of the caller, without its secrets."""

    id: str
    sink: str  #: its type, such as `webhook`
    to: str  #: the host to which it leads, or the address of mail
    wants: Mapping[str, Any]  #: which events; what is left out restricts nothing
    trouble: str | None  #: why the receiver does not take what is sent
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSubscription:
    """A subscription that was just made; the service never tells its secret again."""

    id: str
    secret: str | None = field(repr=False)  #: None for mail
    raw: JsonObject = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event on its way to one receiver."""

    id: int
    subscription: str
    event: str  #: the id of the event
    type: str
    subject: str
    state: str
    attempts: int
    next_try: str | None  #: RFC 3339
    answer: str | None  #: the last one of the receiver
    created: str
    raw: JsonObject = field(repr=False, compare=False)


def subscription(body: JsonObject) -> Subscription:
    """Return a subscription."""
    return Subscription(
        id=body["id"],
        sink=body["sink"],
        to=body["to"],
        wants=dict(body["wants"]),
        trouble=body.get("trouble"),
        raw=body,
    )


def new_subscription(body: JsonObject) -> NewSubscription:
    """Return a subscription that was just made."""
    return NewSubscription(id=body["id"], secret=body["secret"], raw=body)


def delivery(body: JsonObject) -> Delivery:
    """Return a delivery."""
    return Delivery(
        id=body["id"],
        subscription=body["subscription"],
        event=body["event"],
        type=body["type"],
        subject=body["subject"],
        state=body["state"],
        attempts=body["attempts"],
        next_try=body.get("next-try"),
        answer=body.get("answer"),
        created=body["created"],
        raw=body,
    )
