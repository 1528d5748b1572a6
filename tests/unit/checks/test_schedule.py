from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from tracker_service.checks.schedule import Schedule, duration_s

NEW_YORK = "America/New_York"


def local(text: str, zone: str = NEW_YORK) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def due(cron: str, after: str, count: int, zone: str = NEW_YORK) -> list[str]:
    found = islice(Schedule.of(cron, zone).after(local(after, zone)), count)
    return [each.astimezone(ZoneInfo(zone)).isoformat() for each in found]


@pytest.mark.parametrize(
    ("cron", "days"),
    [
        ("0 9 * * 0", "Sun"),
        ("0 9 * * 7", "Sun"),
        ("0 9 * * 1-5", "Mon Tue Wed Thu Fri"),
        ("0 9 * * fri#2", "Fri"),
        ("0 9 13 * 5", "Fri Fri Fri Fri Sat"),  # the 13th or any Friday
    ],
)
def test_days_of_the_week_are_those_of_vixie(cron, days):
    wanted = days.split()
    found = islice(Schedule.of(cron).after(datetime(2026, 5, 31, 10, tzinfo=UTC)), len(wanted))

    assert sorted(each.strftime("%a") for each in found) == sorted(wanted)


def test_in_spring_what_falls_into_the_gap_is_due_after_it():
    assert due("30 2 * * *", "2026-03-07T12:00", 2) == [
        "2026-03-08T03:00:00-04:00",
        "2026-03-09T02:30:00-04:00",
    ]


def test_in_autumn_a_doubled_time_is_due_once():
    assert due("30 1 * * *", "2026-10-31T12:00", 2) == [
        "2026-11-01T01:30:00-04:00",
        "2026-11-02T01:30:00-05:00",
    ]


@pytest.mark.parametrize("cron", ["0 * * * *", "@hourly", "@every 1h"])
def test_what_is_hourly_follows_real_time(cron):
    for day in ("2026-03-08T00:30", "2026-11-01T00:30"):
        found = list(islice(Schedule.of(cron, NEW_YORK).after(local(day)), 5))
        assert {b - a for a, b in pairwise(found)} == {timedelta(hours=1)}


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("* * * * * *", "'* * * * * *' has 6 fields, not 5: minute hour day-of-month month"),
        ("H * * * *", "'H * * * *': H is not cron's; write numbers, names, *, - and /"),
        ("0 0 ? * 1", "'0 0 ? * 1': ? is not cron's; write numbers, names, *, - and /"),
        ("0 0 31 2 *", "'0 0 31 2 *': bad day-of-month"),
        ("0 0 30 2 *", "'0 0 30 2 *': bad day-of-month"),
        ("61 * * * *", "'61 * * * *': bad minute"),
        ("@reboot", "'@reboot': a check has no boot; write when it is due"),
        ("@often", "'@often' is not known; there are @hourly, @daily"),
        ("@every 10x", "'10x' is no duration such as 30s, 5m or 1h30m"),
        ("@every 10ms", "'@every 10ms': a check is due once a second at most"),
    ],
)
def test_an_expression_that_is_no_cron_says_why(cron, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        Schedule.of(cron)


def test_an_unknown_zone_is_refused():
    with pytest.raises(ValueError, match="'Mars' is no time zone, such as Europe/Berlin"):
        Schedule.of("* * * * *", "Mars")


def test_what_was_missed_is_counted_from_its_end():
    schedule = Schedule.of("*/10 * * * *")
    since = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)
    until = datetime(2026, 5, 1, 11, 0, tzinfo=UTC)

    assert [d.minute for d in schedule.missed(since, until, 3)] == [40, 50, 0]
    assert len(schedule.missed(since, until, 100)) == 6
    assert schedule.missed(until, until + timedelta(minutes=9), 100) == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1h30m", 5400), ("250ms", 0.25), (5, 5), ("1 d", 86400)]
)
def test_durations_have_units(text, seconds):
    assert duration_s(text) == seconds
