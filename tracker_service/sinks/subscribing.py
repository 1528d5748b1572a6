"""Add, list, remove and try subscriptions of users, and mute families of failures."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import HttpUrl

from tracker_service.domain.events import TEST, Event
from tracker_service.domain.subscriptions import DeliveryState, Selection, Subscription
from tracker_service.errors import BadInput, ConfigError, NoSuchSubscription, NotAllowed
from tracker_service.identities.keys import KeyRing
from tracker_service.settings.sinks import WebhookSettings
from tracker_service.sinks.opening import sealed, unsealed
from tracker_service.sinks.reach import NotReachable, Reach
from tracker_service.sinks.webhook import secret_key
from tracker_service.store import deliveries, events, subscriptions
from tracker_service.store.database import Connection, Store
from tracker_service.store.deliveries import Delivery

SUBSCRIPTIONS_PER_USER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSubscription:
    """A new subscription; only now is its secret shown."""

    name: str
    secret: str | None  #: with which requests to the receiver are signed; None for mail


class Subscribing:
    """The subscriptions of users."""

    def __init__(
        self, store: Store, key_ring: KeyRing, reach: Reach, clock: Callable[[], datetime]
    ) -> None:
        self._store, self._key_ring = store, key_ring
        self._reach, self._clock = reach, clock

    def add(
        self, owner: str, url: HttpUrl, secret: str | None, selection: Selection
    ) -> NewSubscription:
        """Add a subscription of a user.

        Args:
            secret: with which requests are signed; None to make one.

        Raises:
            BadInput: users may not send to this host, or the secret has the wrong form.
            NotAllowed: the user has `SUBSCRIPTIONS_PER_USER` subscriptions.
        """
        try:
            self._reach.check_host(url.host or "")
            if secret:
                secret_key(secret)
        except NotReachable as error:
            raise BadInput(str(error), status=403) from error
        except ConfigError as error:
            raise BadInput(str(error)) from error
        made = secret or _new_secret()
        kept = sealed(self._key_ring, WebhookSettings(type="webhook", url=url), [made])
        return NewSubscription(name=self._add(owner, kept, selection), secret=made)

    def add_mail(self, owner: str, to: str, selection: Selection) -> NewSubscription:
        """Add a subscription of a user that gets mail through the server of the site.

        Args:
            to: address of the recipient.

        Raises:
            BadInput: users may not send mail to this address.
            NotAllowed: the user has `SUBSCRIPTIONS_PER_USER` subscriptions.
        """
        try:
            self._reach.check_mail_address(to)
        except NotReachable as error:
            raise BadInput(str(error), status=403) from error
        name = self._add(owner, {"type": "mail", "to": to}, selection)
        return NewSubscription(name=name, secret=None)

    def _add(self, owner: str, kept: Mapping[str, Any], selection: Selection) -> str:
        name = secrets.token_hex(6)

        def add(connection: Connection) -> None:
            if subscriptions.count(connection, owner) >= SUBSCRIPTIONS_PER_USER:
                raise NotAllowed(
                    f"{owner} has {SUBSCRIPTIONS_PER_USER} subscriptions, as many as one user may "
                    "have: remove one first."
                )
            subscriptions.add(connection, owner, name, kept, selection, self._clock())

        self._store.write(add)
        return name

    def rotate(self, owner: str, name: str) -> NewSubscription:
        """Give a subscription a new secret; requests are signed with it and with the last one.

        Raises:
            NoSuchSubscription: there is none of this name.
            BadInput: it sends mail, which no secret signs.
        """
        made = _new_secret()

        def change(connection: Connection) -> None:
            known = subscriptions.locked(connection, owner, name)
            if known is None:
                raise NoSuchSubscription
            if "sealed" not in known.sink:
                raise BadInput(f"{name} sends mail, which no secret signs")
            settings, used = unsealed(self._key_ring, known.sink)
            sink = sealed(self._key_ring, settings, [made, *used[:1]])
            subscriptions.change(connection, known, sink, known.selection)

        self._store.write(change)
        return NewSubscription(name=name, secret=made)

    def of(self, owner: str) -> Sequence[Subscription]:
        """Return the subscriptions of a user, the oldest first."""
        with self._store.read() as connection:
            return subscriptions.of_owners(connection, [owner])

    def remove(self, owner: str, name: str) -> None:
        """Remove a subscription of a user.

        Raises:
            NoSuchSubscription: there is none of this name.
        """
        now = self._clock()
        if not self._store.write(lambda c: subscriptions.remove(c, owner, name, now)):
            raise NoSuchSubscription

    def send_test(self, owner: str, name: str) -> str:
        """Send an event to one subscription, whatever it selects.

        Returns:
            the id of the event.

        Raises:
            NoSuchSubscription: there is none of this name.
        """
        if all(subscription.name != name for subscription in self.of(owner)):
            raise NoSuchSubscription
        text = "This is a test: events of this subscription arrive here."
        event = Event(
            type=TEST, subject=name, time=self._clock(), owner=owner, data={"message": text}
        )
        self._store.write(lambda connection: events.append(connection, event))
        return event.id

    def deliveries(
        self, owner: str, states: Sequence[DeliveryState], before: int | None, limit: int
    ) -> Sequence[Delivery]:
        """Return deliveries to an owner, the newest first; see `store.deliveries.known`."""
        with self._store.read() as connection:
            return deliveries.known(connection, owner, states, before, limit)

    def replay(self, owner: str, ids: Sequence[int] | None) -> int:
        """Send deliveries to an owner again that were given up; return how many.

        Args:
            ids: of the deliveries; None for all.
        """
        return self._store.write(lambda c: deliveries.replay(c, owner, ids))


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
