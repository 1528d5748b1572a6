"""Send one message for many failures of the same family: no storm, and no silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tracker_service.domain.subscriptions import DeliveryState
from tracker_service.sinks.sink import Message, Others
from tracker_service.store.deliveries import Change, Delivery

#: After a message of a family, the next one waits so long and counts what came meanwhile.
WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sendable:
    """A message, and the deliveries that end with it."""

    message: Message
    delivery: Delivery
    counted: Sequence[Delivery] = ()  #: older ones of the family, which the message counts


def without_storms(
    due: Sequence[Delivery], last_sent: Mapping[str, datetime]
) -> tuple[list[Sendable], list[Change]]:
    """Split what is due into messages to send now, and deliveries to hold back.

    The first failure of a family goes out at once. For an hour, further ones are held back; then
    one message counts them.

    Args:
        due: deliveries in the order of their events.
        last_sent: when a message of each family was sent, if within `WINDOW`.
    """
    sendable: list[Sendable] = []
    held: list[Change] = []
    quiet_until = {family: sent_at + WINDOW for family, sent_at in last_sent.items()}
    for delivery in due:
        family = delivery.family
        if family is None:
            sendable.append(Sendable(message=Message(kept=delivery.event), delivery=delivery))
        elif family not in quiet_until:
            sendable.append(Sendable(message=Message(kept=delivery.event), delivery=delivery))
            quiet_until[family] = delivery.due_at + WINDOW
        else:
            held.append(_held(delivery, quiet_until[family]))
    return sendable, held


def _held(delivery: Delivery, until: datetime) -> Change:
    return Change(
        id=delivery.id,
        state=DeliveryState.HELD,
        due_at=until,
        answer="waits for others of its family",
        is_tried=False,
    )


def digests(held: Sequence[Delivery]) -> list[Sendable]:
    """Return one message for each family: its newest event, which counts the older ones."""
    families: dict[str | None, list[Delivery]] = {}
    for delivery in held:
        families.setdefault(delivery.family, []).append(delivery)
    return [_digest(together) for together in families.values()]


def _digest(together: Sequence[Delivery]) -> Sendable:
    *older, newest = together
    first = older[0].event.event if older else None
    others = Others(count=len(older), since=first.time.isoformat()) if first else None
    message = Message(kept=newest.event, others=others)
    return Sendable(message=message, delivery=newest, counted=older)
