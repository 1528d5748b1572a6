"""The audit says what happened: a log that HDFS refuses was not read."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.unit.calls import GUEST, SAM, get, post, save_copies
from tests.unit.fakes import APP_1, job
from tests.unit.logged import logged
from tracker_service.domain.copies import CopyStatus
from tracker_service.errors import AccessDenied

JOB = f"/api/job/{job(1)}"
LOG = f"{JOB}/logs/{APP_1[12:]}"
PATH = f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log"
WAYS = [
    LOG,
    f"{LOG}?tail=5",
    f"{LOG}?grep=x",
    f"{LOG}/files",
    f"{JOB}/logs",
    f"{JOB}/logs/status?verify=true",
]


@pytest.fixture
def hdfs(client, oozie, store, fake_cluster):
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED)
    with store.begin() as connection:
        connection.execute(text("UPDATE copies SET sha256 = 'any'"))
    fake_cluster.homes["guest"].files[PATH] = b"a log\n"
    return fake_cluster.homes["guest"]


@pytest.mark.parametrize("path", WAYS)
def test_a_log_that_hdfs_refuses_was_not_read(client, hdfs, row, path):
    hdfs.troubles[PATH] = AccessDenied("not yours")

    with logged() as told:
        get(client, path)

    [line] = told.of("audit")
    assert (line["action"], line["user"], line["result"]) == ("read_log", "guest", "AccessDenied")
    assert (line["job"], line["applications"]) == (job(1), [APP_1[12:]])
    row("audit", f"HDFS refuses {path.removeprefix(JOB)}", line["result"])


def test_a_log_of_which_no_byte_was_read_has_its_line_too(client, hdfs):
    with logged() as told:
        client.head(LOG, auth=GUEST, buffered=True)

    assert [line["result"] for line in told.of("audit")] == ["ok"]


@pytest.mark.parametrize("path", [LOG, f"{LOG}/files", f"{JOB}/logs"])
def test_who_asks_for_the_log_of_another_is_noted(client, hdfs, row, path):
    with logged() as told:
        assert get(client, path, auth=SAM).status_code == 404

    [line] = told.of("audit")
    assert (line["user"], line["job"]) == ("sam", job(1))
    assert line["result"] != "ok"
    row("audit", f"another user asks for {path.removeprefix(JOB)}", line["result"])


@pytest.mark.parametrize("name", ["guest", "nob\x1body", "n" * 500])
def test_a_refused_login_is_noted_with_the_name_as_it_was_claimed(client, row, name):
    with logged(form="console") as told:
        get(client, "/api/jobs/tracking", auth=(name, "wrong"))

    [line] = [line for line in told.text.splitlines() if "event=audit" in line]
    assert "action=log_in" in line
    assert "result=NotAuthenticated" in line
    assert line.isprintable()
    assert len(line) < 500
    row("audit", f"the login of {name[:20]!r}", "noted, as printable text")
