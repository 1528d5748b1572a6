"""Forward a TCP port of this machine to another one, byte by byte."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

_PIECE_BYTES = 65536


@contextmanager
def forwarded(port: int, to: int) -> Iterator[None]:
    """Forward connections to a port for the length of the block.

    Raises:
        OSError: the port is in use, or needs rights that this process does not have.
    """

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", to)) as there:
                _pass_on(self.request, there)

    class Server(ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", port), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes in both directions, until one side closes."""
    with suppress(ConnectionError):
        while True:
            for ready in select.select([one, other], [], [])[0]:
                if not (piece := ready.recv(_PIECE_BYTES)):
                    return
                (other if ready is one else one).sendall(piece)
