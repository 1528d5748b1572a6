"""What gunicorn serves to the tests of slow clients: a long answer, an endless one, the body."""

from __future__ import annotations

LONG = b"x" * 300_000


def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/log":
        return (LONG for _ in range(1000))
    return [LONG if path == "/long" else b"%d" % len(body)]
