"""Requests that pages of other sites make with the credentials that a browser has stored."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode

import pytest

from tests.unit.calls import GUEST

HERE = "http://localhost"
REFUSED = [
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Site": "nonsense"},
    {"Origin": "https://evil.example.com"},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example.com"},
]
TAKEN = [
    {},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": HERE},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
]


@pytest.mark.parametrize("headers", REFUSED)
def test_a_page_of_another_site_is_refused(client, headers, row):
    assert client.get("/api/jobs/tracking", auth=GUEST, headers=headers).status_code == 403
    assert client.post("/api/task/track/", auth=GUEST, headers=headers).status_code == 403
    row("browsers", str(headers), "403")


@pytest.mark.parametrize("headers", TAKEN)
def test_our_own_pages_programs_and_links_are_let_through(client, headers):
    assert client.get("/api/jobs/tracking", auth=GUEST, headers=headers).status_code == 200


def test_a_link_changes_nothing(client):
    link = TAKEN[-1]

    assert client.post("/api/task/track/", auth=GUEST, headers=link).status_code == 403


def test_the_page_of_the_api_runs_its_own_script_alone(client, row):
    page = client.get("/docs")
    [script] = re.findall("<script>(.*?)</script>", page.text, re.DOTALL)
    policy = page.headers["Content-Security-Policy"]

    assert f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert "script-src 'self' 'unsafe-inline'" not in policy
    row("browsers", "a script that somebody puts into /docs", "does not run")
