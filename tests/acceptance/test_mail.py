"""A user has a failure told by mail, with the command alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.command import login, tracker
from tests.acceptance.conftest import Run
from tests.stands import Stand
from tests.unit.sinks.smtp_server import MailBox, smtp_server
from tests.waiting import until

pytestmark = pytest.mark.slow


def test_a_failure_reaches_the_address_that_a_user_has_added(
    sandbox: Stand, run: Run, tmp_path: Path
) -> None:
    box = MailBox()
    with smtp_server(box) as port:
        server = {"TYPE": "mail", "HOST": "127.0.0.1", "PORT": port, "TLS": "none"}
        server |= {"SENDER": "tracker@example.org"}
        service = run(
            sandbox,
            **{f"TRACKER_SINKS__TEAM__{name}": value for name, value in server.items()},
            TRACKER_SINKS__ALLOWED_MAIL_DOMAINS='["example.com"]',
        )
        guest = login(service.url)
        failed = ("--type", "tracker.job.failed")
        added = tracker(tmp_path, guest, "notify", "add", "guest@example.com", *failed)
        assert added.returncode == 0, added.stderr
        service.track(job := sandbox.start("fail"))
        [mail] = until(lambda: list(box.mails))
        until(
            lambda: service.query("SELECT state FROM deliveries"), lambda r: r == [("delivered",)]
        )
        refused = tracker(tmp_path, guest, "notify", "add", "guest@example.net")
        listed = tracker(tmp_path, guest, "notify", "list").stdout

    assert box.recipients == [["guest@example.com"]]
    body = mail.get_body(("plain",))
    assert body is not None
    assert "Why: " in body.get_content()
    assert f"tracker why {job}" in body.get_content()
    assert "guest@example.com" in listed
    assert refused.returncode
    assert "allowed_mail_domains" in refused.stderr
