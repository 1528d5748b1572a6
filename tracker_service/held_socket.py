"""A connection that holds what its client has not read yet, so that no thread waits for that."""

from __future__ import annotations

import select
import socket
import time
from typing import Any

_MOST_HELD = 512 * 1024  #: bytes; more than any answer but a log has
_PATIENCE_S = 300.0  #: for a client that takes no more; somebody may page through a log


class HeldSocket(socket.socket):
    """A socket in blocking mode whose `sendall` waits only when much is unsent."""

    unsent = bytearray()

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(fileno=sock.detach())
        self.unsent = bytearray()

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # noqa: ANN401 (any buffer)
        """Send what the client takes now, and hold the rest.

        Raises:
            BrokenPipeError: the client has gone, or has taken nothing for minutes.
        """
        if self.gettimeout() == 0:  # the caller waits for nobody
            super().sendall(data, flags)
            return
        self.unsent += data
        until = time.monotonic() + _PATIENCE_S
        while not self.flush() and len(self.unsent) > _MOST_HELD:
            left_s = until - time.monotonic()
            poll = select.poll()
            poll.register(self, select.POLLOUT)
            if left_s <= 0 or not poll.poll(left_s * 1000):
                self.unsent.clear()
                raise BrokenPipeError("the client takes no more of its answer")

    def flush(self) -> bool:
        """Send what the client takes now; tell whether nothing is left.

        Raises:
            OSError: the client has gone.
        """
        sent = 0
        try:
            with memoryview(self.unsent) as unsent:
                while sent < len(unsent):
                    sent += self.send(unsent[sent:], socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        except OSError:
            self.unsent.clear()
            raise
        del self.unsent[:sent]
        return not self.unsent
