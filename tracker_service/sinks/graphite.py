"""Deliver to Graphite: count the events of each type, in its plain text protocol.

See https://graphite.readthedocs.io/en/stable/feeding-carbon.html#the-plaintext-protocol
"""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterable, Sequence

from tracker_service.sinks.sink import Message, Outcome, delivered, try_again

_CONNECT_S = 5.0
_SEND_S = 10.0
_LONGEST_NAME = 200
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


class Graphite:
    """Sends one line for each type and second, such as `tracker.job.failed 3 1796000000`.

    The protocol has no answers: what a server has taken when it dies is not sent again.
    """

    def __init__(self, host: str, port: int, prefix: str) -> None:
        """Prepare to send.

        Args:
            prefix: of each metric's name, such as `hadoop.prod`; empty for none.
        """
        self._place, self._prefix = (host, port), prefix
        self._connection: socket.socket | None = None

    def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send all messages at once."""
        try:
            self._connected().sendall("".join(self._lines(messages)).encode())
        except OSError as error:
            self.close()
            host, port = self._place
            return [try_again(f"{host}:{port}: {error}", is_outage=True)]
        return [delivered("sent; Graphite does not answer") for _ in messages]

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _connected(self) -> socket.socket:
        """Return a connection that the server has not closed."""
        if self._connection and _is_closed(self._connection):
            self.close()
        if self._connection is None:
            self._connection = socket.create_connection(self._place, _CONNECT_S)
            self._connection.settimeout(_SEND_S)
        return self._connection

    def _lines(self, messages: Sequence[Message]) -> Iterable[str]:
        counts: Counter[tuple[str, int]] = Counter()
        for message in messages:
            event = message.kept.event
            others = message.others.count if message.others else 0
            counts[self._name(event.type), int(event.time.timestamp())] += 1 + others
        for (name, second), count in counts.items():
            yield f"{name} {count} {second}\n"

    def _name(self, kind: str) -> str:
        parts = [_UNSAFE.sub("_", part) for part in kind.split(".") if part]
        return ".".join([*([self._prefix] if self._prefix else []), *parts])[:_LONGEST_NAME]


def _is_closed(connection: socket.socket) -> bool:
    """Tell whether a server has closed a connection; it never sends anything else."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(_SEND_S)
