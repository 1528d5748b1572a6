"""A WSGI application that returns its requests as it sees them, for tests of proxies."""

from __future__ import annotations

import threading

from flask import Flask, Response, jsonify, request, url_for
from flask.typing import ResponseReturnValue

from tracker_service import serve
from tracker_service.api.proxies import TrustedProxies

_echo = Flask("echo", static_folder=None)


@_echo.get("/seen")
def seen() -> ResponseReturnValue:
    return jsonify(url=url_for("seen", _external=True), client=request.remote_addr)


@_echo.get("/cut")
def cut() -> Response:
    def begin_and_break_off():
        yield b"x" * 1_000_000
        raise ConnectionError("the gateway has cut the stream")

    return Response(begin_and_break_off())


@_echo.get("/late")
def late() -> ResponseReturnValue:
    threading.Event().wait(3)
    return "late"


app = TrustedProxies(_echo.wsgi_app, serve.configured().serve.trusted_proxies)
