"""Open the sink of a subscription: one of the site by its name, one of a user by its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tracker_service.domain.subscriptions import SITE_OWNER, Subscription
from tracker_service.errors import ConfigError
from tracker_service.identities.keys import KeyRing
from tracker_service.settings.sinks import SinkSettings, SinksSettings, WebhookSettings
from tracker_service.sinks.reach import Reach
from tracker_service.sinks.sink import Sink
from tracker_service.sinks.web import WebReceiver
from tracker_service.sinks.webhook import Webhook

_SINK: TypeAdapter[SinkSettings] = TypeAdapter(SinkSettings)
_SITE = Reach(is_everywhere=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkOpener:
    """Opens sinks."""

    sinks: SinksSettings
    key_ring: KeyRing
    base_url: str  #: of this service

    def __call__(self, subscription: Subscription) -> Sink:
        """Return the sink of a subscription.

        Raises:
            ConfigError: its settings cannot be used.
        """
        if subscription.owner == SITE_OWNER:
            return self._of_site(str(subscription.sink["name"]))
        settings, secrets = unsealed(self.key_ring, subscription.sink)
        return self._opened(settings, secrets, self.reach)

    @property
    def reach(self) -> Reach:
        """Return where users may send to."""
        return Reach(hosts=self.sinks.allowed_hosts, networks=self.sinks.allowed_networks)

    def _of_site(self, name: str) -> Sink:
        settings = self.sinks.by_name.get(name)
        if settings is None:
            raise ConfigError(f"sinks: there is no {name} in the settings of this worker")
        file = settings.secret_file
        return self._opened(settings, file.read_text().split() if file else [], _SITE)

    def _opened(self, settings: SinkSettings, secrets: list[str], reach: Reach) -> Sink:
        receiver = WebReceiver(str(settings.url), reach, settings.ca_file)
        return Webhook(receiver, secrets, self.base_url)


def sealed(key_ring: KeyRing, settings: WebhookSettings, secrets: list[str]) -> Mapping[str, Any]:
    """Return the settings of a user's sink as they are stored: encrypted, but for type and host."""
    encrypted = key_ring.encrypt(settings.model_dump_json(), *secrets).decode()
    return {"type": settings.type, "to": settings.url.host, "sealed": encrypted}


def unsealed(key_ring: KeyRing, sink: Mapping[str, Any]) -> tuple[SinkSettings, list[str]]:
    """Return the settings and the secrets of a user's sink.

    Raises:
        ConfigError: they were encrypted with another key, or by another release.
    """
    text, *secrets = key_ring.decrypt(str(sink["sealed"]).encode())
    try:
        return _SINK.validate_json(text), secrets
    except ValidationError as error:
        raise ConfigError(f"this release cannot use the sink: {error}") from error
