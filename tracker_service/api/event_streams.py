"""Send events to readers as they happen, as server-sent events, without a thread for each.

See https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, cast

import structlog
from flask import Response

from tracker_service.domain.events import KeptEvent
from tracker_service.errors import (
    GatewayUnavailable,
    RouteClosed,
    StoreUnavailable,
    TooManyRequests,
)
from tracker_service.sinks.cloud_events import cloud_event
from tracker_service.store import events
from tracker_service.store.database import Store
from tracker_service.store.events import EventFilter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = structlog.get_logger()

CONTENT_TYPE = "text/event-stream"
MOST_STREAMS = 500  #: of one process
_MOST_OF_A_USER = MOST_STREAMS // 2
_LOOK_S = 0.2  #: from one look for new events to the next
_PAGE = 200  #: events that are read at once
_ALIVE_S = 15.0  #: a comment is sent after such a silence, so that no proxy closes the connection
_LONGEST_S = 3600.0  #: then the reader comes again, and is verified again
_MOST_UNSENT = 512 * 1024  #: bytes; a reader that is further behind is cut off, and comes again
_RETRY_AFTER_S = 10


@dataclass(slots=True, eq=False)
class _Reader:
    """One reader; times are of the monotonic clock."""

    connection: socket.socket
    user: str
    is_chunked: bool  #: by HTTP/1.1
    wanted: EventFilter
    position: int  #: the number of the last event that was looked at for this reader
    opened: float
    spoke: float  #: when something was sent last
    unsent: bytearray = field(default_factory=bytearray)

    def say(self, text: str, now: float) -> None:
        """Add a text to what is sent next."""
        body = text.encode()
        self.unsent += b"%X\r\n%b\r\n" % (len(body), body) if self.is_chunked else body
        self.spoke = now

    def send(self) -> bool:
        """Send what the connection takes; return False if the reader has gone or is too slow."""
        try:
            while self.unsent:
                sent = self.connection.send(self.unsent)
                del self.unsent[:sent]
        except BlockingIOError:
            return len(self.unsent) < _MOST_UNSENT
        except OSError:
            return False
        return True


class EventStreams:
    """The readers of one process. One thread serves all of them; it begins with the first."""

    def __init__(self, store: Store, base_url: str) -> None:
        self._store, self._base_url = store, base_url
        self._lock = Lock()
        self._readers: set[_Reader] = set()
        self._thread: Thread | None = None

    def opened(
        self, environ: WSGIEnvironment, user: str, wanted: EventFilter, after: int | None
    ) -> Response:
        """Return an answer with the events after a number; None for those from now on.

        Raises:
            GatewayUnavailable: as many readers are connected as may be.
            TooManyRequests: as many readers of this user are.
            RouteClosed: the server is not gunicorn.
        """
        if "gunicorn.socket" not in environ:
            raise RouteClosed("Streams of events need gunicorn as server.")
        if len(self._readers) >= MOST_STREAMS:
            raise GatewayUnavailable(
                f"{MOST_STREAMS} readers are connected, as many as may be: come again later, or "
                "ask for pages of events",
                retry_after_s=_RETRY_AFTER_S,
            )
        with self._lock:
            own = sum(reader.user == user for reader in self._readers)
        if own >= _MOST_OF_A_USER:
            raise TooManyRequests(
                f"{own} of your readers are connected, as many as may be: end some of them",
                retry_after_s=_RETRY_AFTER_S,
            )
        if after is None:
            with self._store.read() as connection:
                after = events.last_sequence(connection)
        return _HandedOver(self, user, wanted, after)

    def take(
        self,
        connection: socket.socket,
        *,
        user: str,
        is_chunked: bool,
        wanted: EventFilter,
        after: int,
    ) -> None:
        """Serve a connection of a user from now on."""
        connection.setblocking(False)
        now = time.monotonic()
        reader = _Reader(connection, user, is_chunked, wanted, after, opened=now, spoke=now)
        with self._lock:
            self._readers.add(reader)
            if self._thread is None:
                self._thread = Thread(target=self._serve, name="event-streams", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while True:
            began = time.monotonic()
            with self._lock:
                readers = list(self._readers)
            try:
                self._tell(readers, began)
            except StoreUnavailable as error:
                log.warning("event_streams_wait", reason=str(error))
            except Exception:
                log.exception("event_streams_broke")
            for reader in readers:
                is_over = began - reader.opened > _LONGEST_S
                if is_over or not reader.send():
                    self._forget(reader)
            _await_readers_that_go(readers, began + _LOOK_S)

    def _tell(self, readers: Sequence[_Reader], now: float) -> None:
        """Add new events to what is sent to the readers; those at the same place share a page."""
        places: dict[int, list[_Reader]] = {}
        for reader in readers:
            places.setdefault(reader.position, []).append(reader)
        with self._store.read() as connection:
            newest = events.last_sequence(connection)
            for place, together in places.items():
                if place < newest:
                    page = events.following(connection, place, EventFilter(), _PAGE)
                    self._tell_page(page, together, newest, now)
        for reader in readers:
            if now - reader.spoke > _ALIVE_S:
                reader.say(": still here\n\n", now)

    def _tell_page(
        self, page: Sequence[KeptEvent], readers: Sequence[_Reader], newest: int, now: float
    ) -> None:
        for kept in page:
            text = _text(kept, self._base_url)
            for reader in readers:
                if reader.wanted.takes(kept):
                    reader.say(text, now)
        # An event may have come between the two looks.
        read = page[-1].sequence if page else 0
        last = read if len(page) == _PAGE else max(newest, read)
        for reader in readers:
            reader.position = last

    def _forget(self, reader: _Reader) -> None:
        with self._lock:
            self._readers.discard(reader)
        with contextlib.suppress(OSError):
            reader.connection.close()


def _text(kept: KeptEvent, base_url: str) -> str:
    body = json.dumps(cloud_event(kept, base_url))
    return f"id: {kept.sequence}\nevent: {kept.event.type}\ndata: {body}\n\n"


def _await_readers_that_go(readers: Sequence[_Reader], until: float) -> None:
    """Wait until an instant of the monotonic clock, and close the connections that have ended."""
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            if reader.connection.fileno() >= 0:
                selector.register(reader.connection, selectors.EVENT_READ, reader)
        while (left_s := until - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                if _has_gone(key.data.connection):
                    selector.unregister(key.fileobj)
                    with contextlib.suppress(OSError):  # the next `send` closes it
                        key.data.connection.shutdown(socket.SHUT_RDWR)


def _has_gone(connection: socket.socket) -> bool:
    """Drop what a reader sends; tell whether it has closed its end."""
    try:
        return not connection.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True


class _HandedOver(Response):
    """An answer whose connection leaves gunicorn once gunicorn has sent its head."""

    def __init__(self, streams: EventStreams, user: str, wanted: EventFilter, after: int) -> None:
        super().__init__(self._pieces(), content_type=CONTENT_TYPE)
        self.headers["Cache-Control"] = "no-store"
        self.headers["X-Accel-Buffering"] = "no"  # nginx passes each event on at once
        self._streams, self._user, self._wanted, self._after = streams, user, wanted, after
        self._server: Any = None  # gunicorn's own response

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        self._server = cast(Any, start_response).__self__
        return super().__call__(environ, start_response)

    def _pieces(self) -> Iterator[bytes]:
        yield b": events follow\n\n"
        # The head is sent: gunicorn must neither end the body nor close the connection.
        is_chunked, self._server.chunked = self._server.chunked, False
        self._server.force_close()
        self._streams.take(
            socket.socket(fileno=self._server.sock.detach()),
            user=self._user,
            is_chunked=is_chunked,
            wanted=self._wanted,
            after=self._after,
        )
