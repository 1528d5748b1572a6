"""Open the sink of a subscription: one of the site by its name, one of a user by its settings."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError

from tracker_service.domain.subscriptions import CHECKS_OWNER, SITE_OWNER, Subscription
from tracker_service.errors import ConfigError
from tracker_service.identities.keys import KeyRing
from tracker_service.settings.sinks import (
    AlertmanagerSettings,
    ChatSettings,
    DatadogSettings,
    EventBridgeSettings,
    GraphiteSettings,
    MailSettings,
    SinkSettings,
    SinksSettings,
    WebhookSettings,
)
from tracker_service.sinks.alertmanager import Alertmanager
from tracker_service.sinks.datadog import Datadog
from tracker_service.sinks.graphite import Graphite
from tracker_service.sinks.mail import Mail, MailServer
from tracker_service.sinks.reach import NotReachable, Reach
from tracker_service.sinks.results import open_results
from tracker_service.sinks.sink import Sink
from tracker_service.sinks.web import WebReceiver
from tracker_service.sinks.webhook import Webhook

_MAIL_PORTS = {"starttls": 587, "tls": 465, "none": 25}
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
        sink = subscription.sink
        if subscription.owner == SITE_OWNER:
            return self._of_site(str(sink["name"]))
        if subscription.owner == CHECKS_OWNER:
            [text] = self.key_ring.decrypt(str(sink["sealed"]).encode())
            return open_results(str(sink["type"]), json.loads(text))
        if sink["type"] == "mail":
            return self._mail_of_user(str(sink["to"]))
        settings, secrets = unsealed(self.key_ring, sink)
        return _webhook(settings, secrets, Reach.of_users(self.sinks), self.base_url)

    def _of_site(self, name: str) -> Sink:
        settings = self.sinks.by_name.get(name)
        if settings is None:
            raise ConfigError(f"sinks: there is no {name} in the settings of this worker")
        return open_sink(settings, self.base_url)

    def _mail_of_user(self, address: str) -> Sink:
        """Return the mail server of the site for one address of a user."""
        server = self.sinks.mail
        if server is None:
            raise ConfigError("sinks: there is none of type mail in the settings of this worker")
        try:
            Reach.of_users(self.sinks).check_mail_address(address)
        except NotReachable as error:
            raise ConfigError(str(error)) from error
        return _mail(server.model_copy(update={"to": (address,)}), self.base_url)


def _webhook(settings: WebhookSettings, secrets: list[str], reach: Reach, base_url: str) -> Sink:
    receiver = WebReceiver(str(settings.url), reach, settings.ca_file)
    return Webhook(receiver, secrets, base_url)


def _webhook_of_site(settings: WebhookSettings, base_url: str) -> Sink:
    secrets = settings.secret_file.read_text().split() if settings.secret_file else []
    return _webhook(settings, secrets, _SITE, base_url)


def _mail(settings: MailSettings, base_url: str) -> Sink:
    server = MailServer(
        host=settings.host,
        port=settings.port or _MAIL_PORTS[settings.tls],
        tls=settings.tls,
        user=settings.user,
        password=_secret_in(settings.password_file) if settings.password_file else "",
        ca_file=settings.ca_file,
        sender=settings.sender,
    )
    return Mail(server, settings.to, base_url)


def _chat(settings: ChatSettings, base_url: str) -> Sink:
    from tracker_service.sinks.chat import Chat  # noqa: PLC0415 - an extra

    return Chat(_secret_in(settings.url_file), base_url)


def _alertmanager(settings: AlertmanagerSettings, base_url: str) -> Sink:
    url = f"{str(settings.url).rstrip('/')}/api/v2/alerts"
    headers: dict[str, str] = {}
    if settings.user and settings.password_file:
        login = f"{settings.user}:{_secret_in(settings.password_file)}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    receiver = WebReceiver(url, _SITE, settings.ca_file)
    return Alertmanager(receiver, settings.labels, headers, base_url)


def _datadog(settings: DatadogSettings, base_url: str) -> Sink:
    key, url = _secret_in(settings.key_file), str(settings.url)
    is_in_url = settings.key_in == "url"
    if is_in_url:
        url = f"{url}{'&' if settings.url.query else '?'}{urlencode({'api_key': key})}"
    headers = {} if is_in_url else {"DD-API-KEY": key}
    receiver = WebReceiver(url, _SITE, settings.ca_file)
    return Datadog(receiver, headers, settings.tags, secrets=[key], base_url=base_url)


def _eventbridge(settings: EventBridgeSettings, base_url: str) -> Sink:
    from tracker_service.sinks.eventbridge import Bus, EventBridge  # noqa: PLC0415 - an extra

    bus = Bus(
        name=settings.bus,
        region=settings.region,
        source=settings.source,
        credentials_file=settings.credentials_file,
        endpoint_url=str(settings.endpoint_url) if settings.endpoint_url else None,
    )
    return EventBridge(bus, base_url)


def _graphite(settings: GraphiteSettings, _base_url: str) -> Sink:
    return Graphite(settings.host, settings.port, settings.prefix)


_OPENERS: Mapping[str, Callable[[Any, str], Sink]] = {
    "webhook": _webhook_of_site,
    "mail": _mail,
    "apprise": _chat,
    "alertmanager": _alertmanager,
    "datadog": _datadog,
    "eventbridge": _eventbridge,
    "graphite": _graphite,
}


def open_sink(settings: SinkSettings, base_url: str) -> Sink:
    """Return a sink of the site.

    Args:
        base_url: of this service.

    Raises:
        ConfigError: its settings cannot be used.
    """
    return _OPENERS[settings.type](settings, base_url)


def _secret_in(file: Path) -> str:
    """Return the secret in a file.

    Raises:
        ConfigError: there is none that could be sent.
    """
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    if not (text and text.isascii() and text.isprintable()):
        raise ConfigError(f"{file}: write one line in ASCII into it")
    return text


def sealed(key_ring: KeyRing, settings: WebhookSettings, secrets: list[str]) -> Mapping[str, Any]:
    """Return the settings of a user's sink as they are stored: encrypted, but for type and host."""
    encrypted = key_ring.encrypt(settings.model_dump_json(), *secrets).decode()
    return {"type": settings.type, "to": settings.url.host, "sealed": encrypted}


def unsealed(key_ring: KeyRing, sink: Mapping[str, Any]) -> tuple[WebhookSettings, list[str]]:
    """Return the settings and the secrets of a user's sink.

    Raises:
        ConfigError: they were encrypted with another key, or by another release.
    """
    text, *secrets = key_ring.decrypt(str(sink["sealed"]).encode())
    try:
        return WebhookSettings.model_validate_json(text), secrets
    except ValidationError as error:
        raise ConfigError(f"this release cannot use the sink: {error}") from error
