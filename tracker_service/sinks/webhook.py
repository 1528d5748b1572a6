"""Deliver to a webhook: one signed request an event.

The body is a CloudEvent in structured mode. The signature is that of Standard Webhooks, see
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Callable, Sequence

from tracker_service.errors import ConfigError
from tracker_service.sinks.cloud_events import CONTENT_TYPE, message_json
from tracker_service.sinks.sink import Message, Outcome, one_by_one
from tracker_service.sinks.web import WebReceiver

_PREFIX = "whsec_"


class Webhook:
    """Sends events to one URL, in their order."""

    def __init__(
        self,
        receiver: WebReceiver,
        secrets: Sequence[str],
        base_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare to send.

        Args:
            secrets: each request is signed with each of them, so that one can replace another.
            base_url: of this service.

        Raises:
            ConfigError: a secret is not in the form of Standard Webhooks.
        """
        self._receiver, self._base_url, self._clock = receiver, base_url, clock
        self._keys = [secret_key(secret) for secret in secrets]

    def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send messages, up to the first one that has to be sent again."""
        return one_by_one(messages, self._send)

    def close(self) -> None:
        """Close the connection."""
        self._receiver.close()

    def _send(self, message: Message) -> Outcome:
        body = json.dumps(message_json(message, self._base_url)).encode()
        sent_at = str(int(self._clock()))
        headers = {
            "Content-Type": CONTENT_TYPE,
            "webhook-id": message.kept.event.id,
            "webhook-timestamp": sent_at,
        }
        if self._keys:
            signed = f"{message.kept.event.id}.{sent_at}.".encode() + body
            headers["webhook-signature"] = " ".join(_signature(key, signed) for key in self._keys)
        return self._receiver.post(body, headers)


def secret_key(secret: str) -> bytes:
    """Return the key of a secret such as `whsec_…`.

    Raises:
        ConfigError: it is no base64 of 24 to 64 bytes.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not 24 <= len(key) <= 64:
        raise ConfigError(
            "a secret of a webhook is `whsec_` and the base64 of 24 to 64 random bytes: make one "
            "with `echo whsec_$(openssl rand -base64 32)`"
        )
    return key


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
