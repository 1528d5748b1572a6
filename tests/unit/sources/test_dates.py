from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.unit.fakes import job
from tests.unit.loopback_server import Reply
from tracker_service.sources.dates import instant_of
from tracker_service.sources.oozie import Oozie

NOON = datetime(2026, 11, 22, 4, 12, 45, tzinfo=UTC)
MINUTE = NOON.replace(second=0)


@pytest.mark.parametrize(
    "written",
    [
        "Sun, 22 Nov 2026 04:12:45 GMT",
        "Sun, 22 Nov 2026 09:42:45 GMT+05:30",
        "Sun, 22 Nov 2026 09:42:45 GMT+0530",
        "Sun, 22 Nov 2026 09:42:45 +0530",
        "Sun, 22 Nov 2026 09:42:45 +05:30",
        "Sun, 22 Nov 2026 09:42:45 IST",
        "Sun, 22 Nov 2026 09:42:45 Asia/Kolkata",
        "Sat, 21 Nov 2026 20:12:45 PST",
        "Sat, 21 Nov 2026 20:12:45 GMT-8",
        "Sat, 21 Nov 2026 20:12:45 GMT-08:00",
        "Sun, 22 Nov 2026 05:12:45 CET",
        "Sun, 22 Nov 2026 05:12:45 Europe/Berlin",
        "Sun, 22 Nov 2026 13:12:45 JST",
        "Sun, 22 Nov 2026 04:12:45 UTC",
        "Sun, 22 Nov 2026 04:12:45 Z",
        "22 Nov 2026 04:12:45 GMT",
        "Sunday, 22-Nov-2026 04:12:45 UTC",
        "sun, 22 NOV 2026 04:12:45 gmt",
        "Sun Nov 22 09:42:45 IST 2026",
        "2026-11-22T04:12:45Z",
        "2026-11-22T04:12:45.000Z",
        "2026-11-22T09:42:45+0530",
        "2026-11-22 04:12:45 UTC",
        "1795320765000",
        1795320765000,
    ],
)
def test_the_zone_of_a_date_is_read_in_whichever_form_it_stands(written):
    assert instant_of(written) == NOON


@pytest.mark.parametrize(
    "written",
    ["2026-11-22T04:12Z", "2026-11-22T09:42+0530", "2026-11-22T09:42GMT+05:30"],
)
def test_a_date_may_have_no_seconds(written):
    assert instant_of(written) == MINUTE


@pytest.mark.parametrize(
    "written",
    [
        None,
        "",
        "-",
        "yesterday",
        "So., 22 Okt. 2026 04:12:45 GMT",
        "Sun, 22 Nov 2026 04:12:45 XYZ",
        "Sun, 32 Nov 2026 04:12:45 GMT",
        "Sun, 22 Nov 2026 25:12:45 GMT",
        "Sun, 22 Nov 2026 04:12:45 ../../etc/passwd",
        "Sun, 22 Nov 2026 04:12:45 GMT+99:99",
        "9" * 40,
        {},
        1.5,
    ],
)
def test_a_date_that_is_not_understood_is_none(written):
    assert instant_of(written) is None


def test_a_job_is_known_whose_dates_are_not(loopback, session):
    told = {"id": job(1), "status": "KILLED", "createdTime": "gestern", "endTime": 7.5, "name": 1}
    loopback.says(
        Reply(200, json.dumps({"total": 1, "workflows": [told]}).encode()),
        Reply(
            200,
            json.dumps({**told, "actions": [{"id": "a", "name": "a", "startTime": "x"}]}).encode(),
        ),
    )
    oozie = Oozie(session)

    [seen] = oozie.jobs([job(1)]).values()
    details = oozie.details(job(1))

    assert (seen.status, seen.created_at, seen.ended_at) == ("KILLED", None, None)
    assert [action.started_at for action in details.actions] == [None]
