"""Subscriptions and deliveries, as users send and see them."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, RootModel, StrictBool, StrictInt

from tracker_service.api.schemas.base import Instant, Schema
from tracker_service.api.schemas.queries import Flag, Query
from tracker_service.domain.subscriptions import DeliveryState, Subscription
from tracker_service.settings.sinks import MailAddress, SelectionSettings
from tracker_service.store.deliveries import Delivery

_MOST_DELIVERIES = 1000  #: in one answer


class WebhookBody(BaseModel):
    """A URL that takes CloudEvents, signed as Standard Webhooks says."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["webhook"]
    url: HttpUrl
    secret: str | None = Field(
        None, max_length=200, description="`whsec_…`; without it the service makes one"
    )


class MailBody(BaseModel):
    """An address that gets mail."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["mail"]
    to: MailAddress


class SubscriptionBody(SelectionSettings):
    """A new subscription: where to, and which events; what is left out restricts nothing."""

    model_config = ConfigDict(
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
    )

    only_new: StrictBool = False
    sink: WebhookBody | MailBody = Field(discriminator="type")


class SubscriptionPath(BaseModel):
    """A path that names a subscription of the caller."""

    name: str = Field(pattern="^[0-9a-f]{12}$")


class SubscriptionAnswer(Schema):
    """A subscription, without its secrets."""

    id: str
    sink: str = Field(description="its type, such as `webhook`")
    to: str = Field(description="the host or the address to which it leads")
    wants: dict[str, Any] = Field(description="which events; what is left out restricts nothing")
    created: Instant
    trouble: str | None = Field(description="why the receiver does not take what is sent")

    @classmethod
    def of(cls, subscription: Subscription) -> Self:
        """Return a subscription as its owner sees it."""
        return cls(
            id=subscription.name,
            sink=subscription.sink["type"],
            to=subscription.sink["to"],
            wants=subscription.selection.to_json(),
            created=subscription.created_at,
            trouble=subscription.trouble,
        )


class SubscriptionAnswers(RootModel[list[SubscriptionAnswer]]):
    """Subscriptions, the oldest first."""


class NewSubscriptionAnswer(Schema):
    """A new subscription; its secret is not shown again."""

    id: str
    secret: str | None = Field(description="with which each request is signed; null for mail")


class SentTestAnswer(Schema):
    """A test event that is on its way."""

    event: str = Field(description="its id")


class DeliveriesQuery(Query):
    """Which deliveries."""

    state: list[DeliveryState] = Field([], description="only deliveries in one of these states")
    site: Flag = Field(False, description="admins and auditors only: those of the site's routes")
    before: int | None = Field(None, ge=1, le=2**53, description="only deliveries before this one")
    limit: int = Field(100, ge=1, le=_MOST_DELIVERIES, description="deliveries in one answer")


class DeliveryAnswer(Schema):
    """An event on its way to one receiver."""

    id: int
    subscription: str
    event: str = Field(description="the id of the event")
    type: str
    subject: str
    state: DeliveryState
    attempts: int
    next_try: Instant | None = Field(description="null: it is not tried again")
    answer: str | None = Field(description="the last one of the receiver")
    created: Instant
    ended: Instant | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Return a delivery as its owner sees it."""
        event = delivery.event.event
        return cls(
            id=delivery.id,
            subscription=delivery.subscription,
            event=event.id,
            type=event.type,
            subject=event.subject,
            state=delivery.state,
            attempts=delivery.attempts,
            next_try=None if delivery.ended_at else delivery.due_at,
            answer=delivery.answer,
            created=delivery.created_at,
            ended=delivery.ended_at,
        )


class DeliveryAnswers(RootModel[list[DeliveryAnswer]]):
    """Deliveries, the newest first."""


class ReplayBody(BaseModel):
    """Which deliveries are sent again; without `ids` all that were given up."""

    model_config = ConfigDict(extra="forbid")

    ids: list[StrictInt] | None = Field(None, max_length=10_000)
    site: StrictBool = Field(False, description="admins only: those of the site's routes")


class ReplayAnswer(Schema):
    """How many deliveries are sent again."""

    replayed: int


class FamilyPath(BaseModel):
    """A path that names a family of failures."""

    fingerprint: str = Field(pattern="^[0-9A-Za-z_.:-]{1,64}$")


class MuteBody(BaseModel):
    """How long, and whose messages."""

    model_config = ConfigDict(extra="forbid")

    hours: float = Field(24, gt=0, le=24 * 365, strict=True)
    site: StrictBool = Field(False, description="admins only: the messages of the site")


class MuteQuery(Query):
    """Whose messages."""

    site: Flag = Field(False, description="admins only: the messages of the site")


class MutedAnswer(Schema):
    """A family of failures of which no message is sent."""

    fingerprint: str
    until: Instant


class MuteLinkPath(BaseModel):
    """The path of a link in a message."""

    token: str
