from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from tests.unit.fakes import NOW, job
from tracker_service.domain.events import Event
from tracker_service.domain.subscriptions import QuietHours, Selection, family_of

BERLIN = ZoneInfo("Europe/Berlin")


def failed(**data) -> Event:
    cause = {"category": "memory", "fingerprint": "f1"}
    usual = {"name": "daily load", "parent": job(9, "C"), "cause": cause, "is-new-family": True}
    return Event(
        type="tracker.job.failed", subject=job(1), time=NOW, owner="guest", data={**usual, **data}
    )


@pytest.mark.parametrize(
    ("selection", "is_wanted"),
    [
        (Selection(), True),
        (Selection(types=("tracker.job.failed",)), True),
        (Selection(types=("tracker.logs.*", "tracker.job.*")), True),
        (Selection(types=("tracker.logs.*",)), False),
        (Selection(job_name="daily*"), True),
        (Selection(job_name="Daily*"), False),
        (Selection(coordinator=job(9, "C")), True),
        (Selection(coordinator=job(8, "C")), False),
        (Selection(categories=("network", "memory")), True),
        (Selection(categories=("network",)), False),
        (Selection(is_only_new=True), True),
    ],
)
def test_an_event_is_wanted_if_all_restrictions_hold(selection, is_wanted):
    assert selection.wants(failed()) == is_wanted


def test_a_restriction_leaves_out_what_has_nothing_of_that_kind():
    other = failed(cause=None, name=None, parent=None, **{"is-new-family": False})

    assert Selection().wants(other)
    assert not Selection(categories=("memory",)).wants(other)
    assert not Selection(job_name="*load").wants(other)
    assert not Selection(coordinator=job(9, "C")).wants(other)
    assert not Selection(is_only_new=True).wants(other)


def test_a_selection_comes_back_from_json_as_it_was():
    quiet = QuietHours(begin=time(22), end=time(7, 30), zone=BERLIN)
    selection = Selection(
        types=("a.*",),
        job_name="x?",
        coordinator="c",
        categories=("memory",),
        is_only_new=True,
        quiet=quiet,
    )

    assert Selection.from_json(selection.to_json()) == selection
    assert Selection.from_json(Selection().to_json()) == Selection()
    assert Selection().to_json() == {}


def at(hour: int, minute: int = 0, day: int = 22) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("begin", "end", "now", "over"),
    [
        ((22, 0), (7, 0), at(23), at(7, day=23)),
        ((22, 0), (7, 0), at(3), at(7)),
        ((22, 0), (7, 0), at(7), None),
        ((22, 0), (7, 0), at(12), None),
        ((1, 0), (5, 0), at(2), at(5)),
        ((1, 0), (5, 0), at(0, 59), None),
    ],
)
def test_quiet_hours_end_at_their_time_in_their_zone(begin, end, now, over):
    quiet = QuietHours(begin=time(*begin), end=time(*end), zone=BERLIN)

    assert quiet.over_at(now.astimezone(UTC)) == over


def test_only_failures_with_a_known_cause_have_a_family():
    assert family_of(failed()) == "f1"
    assert family_of(failed(cause=None)) is None
    assert family_of(failed(cause={"category": "unknown", "fingerprint": "f1"})) is None
