"""Deliver to chats and pagers that Apprise knows.

See https://appriseit.com/services/ for what they are, and how their URLs look.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from urllib.parse import unquote

from apprise import Apprise, AppriseResult, NotifyFormat, NotifyType

from tracker_service.errors import ConfigError
from tracker_service.sinks.sink import (
    Message,
    Outcome,
    delivered,
    masked,
    one_by_one,
    refused,
    try_again,
)
from tracker_service.sinks.web import is_final
from tracker_service.sinks.wording import words_of
from tracker_service.sinks.words import Severity

# Apprise logs URLs that it does not know, and they are secrets.
_log = logging.getLogger("apprise")
_log.propagate = False
_log.addHandler(logging.NullHandler())

_TIMEOUT_S = 30.0  #: of one message, with the pauses that the service asks for between messages
_STATUS = re.compile(r"error=(\d{3})\b")  #: in the words of all services that speak HTTP
_SHORTEST_SECRET = 6
_TYPES = {
    Severity.FAILURE: NotifyType.FAILURE,
    Severity.WARNING: NotifyType.WARNING,
    Severity.INFO: NotifyType.INFO,
    Severity.SUCCESS: NotifyType.SUCCESS,
}


class Chat:
    """Sends events to one URL of Apprise, in their order."""

    def __init__(self, url: str, base_url: str) -> None:
        """Prepare to send.

        Args:
            url: of Apprise; it is a secret.
            base_url: of this service.

        Raises:
            ConfigError: Apprise does not know such a URL.
        """
        self._apprise, self._base_url = Apprise(), base_url
        if not self._apprise.add(url) or len(self._apprise) != 1:
            raise ConfigError(
                "url_file: Apprise does not know what is in it; it is one URL, such as "
                "slack://…: https://appriseit.com/services/"
            )
        self._secrets = _secrets(url)

    def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send messages, up to the first one that has to be sent again."""
        return one_by_one(messages, self._send)

    def close(self) -> None:
        """Close nothing: each message has a connection of its own."""

    def _send(self, message: Message) -> Outcome:
        words = words_of(message, self._base_url)
        result = self._apprise.notify(
            title=words.subject,
            body=words.text,
            notify_type=_TYPES[words.severity],
            body_format=NotifyFormat.TEXT,
            timeout=_TIMEOUT_S,
        )
        return masked(_outcome(result), self._secrets)


def _outcome(result: AppriseResult) -> Outcome:
    """Return what became of a message, as far as Apprise tells: it logs what the service said."""
    if result:
        return delivered("accepted")
    said = " ".join(entry.message for entry in result.logs()) or "no answer"
    status = _STATUS.search(said)
    return refused(said) if status and is_final(int(status[1])) else try_again(said, is_outage=True)


def _secrets(url: str) -> list[str]:
    """Return the parts of a URL that may be secret: all of them that are long."""
    parts = re.split(r"[/@:?&=#,]+", url)
    found = {text for part in parts for text in (part, unquote(part))}
    return [url, *sorted(text for text in found if len(text) >= _SHORTEST_SECRET)]
