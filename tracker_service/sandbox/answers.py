"""Builds answers in the form in which they leave the gateway."""

from __future__ import annotations

import json
from html import escape

from werkzeug.wrappers import Response

_JSON = "application/json;charset=utf-8"
_AWAY = (
    "javax.servlet.ServletException: javax.servlet.ServletException: "
    "org.apache.shiro.subject.ExecutionException: java.security.PrivilegedActionException: "
    "java.io.IOException: Service connectivity error."
)
_PAGE = """<html>
<head>
<meta http-equiv="Content-Type" content="text/html;charset=ISO-8859-1"/>
<title>Error {status} {message}</title>
</head>
<body><h2>HTTP ERROR {status} {message}</h2>
<table>
<tr><th>URI:</th><td>{path}</td></tr>
<tr><th>STATUS:</th><td>{status}</td></tr>
<tr><th>MESSAGE:</th><td>{message}</td></tr>
<tr><th>SERVLET:</th><td>{servlet}</td></tr>
</table>

</body>
</html>
"""


def json_answer(
    content: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Answer with JSON without blanks, as the gateway writes it."""
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return Response(body, status, headers, content_type=_JSON)


def empty_answer(status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer without a body and without its type."""
    answer = Response(b"", status, headers)
    del answer.headers["Content-Type"]
    return answer


def error_page(status: int, path: str, message: str, servlet: str = "-") -> Response:
    """Answer with the gateway's own page."""
    page = _PAGE.format(status=status, message=message, path=escape(path), servlet=servlet)
    return Response(page, status, content_type="text/html;charset=iso-8859-1")


def uri_too_long() -> Response:
    """Answer as the gateway does to more than 8 KB of request line and headers."""
    reason = "<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>"
    return Response(reason, 414, content_type="text/html;charset=iso-8859-1")


def unauthorized() -> Response:
    """Answer to missing or wrong credentials."""
    return empty_answer(401, {"WWW-Authenticate": 'BASIC realm="application"'})


def backend_away(path: str) -> Response:
    """Answer as the gateway does when the server behind it cannot be reached."""
    answer = error_page(500, path, _AWAY, "sandbox-knox-gateway-servlet")
    answer.headers["Cache-Control"] = "must-revalidate,no-cache,no-store"
    return answer
