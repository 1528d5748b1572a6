"""The service as gunicorn runs it, but with heartbeats of streams that tests need not wait for."""

from __future__ import annotations

from tracker_service import serve
from tracker_service.api import event_streams

event_streams._ALIVE_S = 0.5

app = serve.app()
