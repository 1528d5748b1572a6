"""Which page of a browser sends a request; see https://www.w3.org/TR/fetch-metadata

A text/plain body needs no preflight, and browsers add stored Basic credentials by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Request


def is_of_another_site(sent: Request) -> bool:
    """Tell whether a page of another site sends a request, and nobody has followed a link."""
    if sent.method == "GET" and _is_navigation(sent):
        return False
    if "Sec-Fetch-Site" in sent.headers:
        return is_from_elsewhere(sent.environ)
    origin = sent.headers.get("Origin")
    return origin is not None and origin != sent.host_url.rstrip("/")


def is_from_elsewhere(environ: Mapping[str, Any]) -> bool:
    """Tell whether a page of another host sends a request, links included.

    Args:
        environ: of WSGI; a proxy may hide the scheme, so the host alone is compared.
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = environ.get("HTTP_ORIGIN")
    return origin is not None and origin.partition("://")[2] != environ.get("HTTP_HOST")


def _is_navigation(sent: Request) -> bool:
    is_link = sent.headers.get("Sec-Fetch-Mode") == "navigate"
    return is_link and sent.headers.get("Sec-Fetch-Dest", "document") == "document"
