from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.fakes import NOW, a_copy
from tracker_service.domain.copies import Completeness, Contents, CopyReason, CopyStatus
from tracker_service.tracking.safety import completeness, safety

WEEK = timedelta(days=7)
WHOLE = a_copy(status=CopyStatus.SUCCEEDED)
TORN = a_copy(
    status=CopyStatus.SUCCEEDED, contents=Contents(containers=2, logs=3, gaps=("one is missing",))
)
LOST = a_copy(status=CopyStatus.FAILED)
EARLIER = NOW - timedelta(hours=1)


def unwanted(code: CopyReason | None):
    return a_copy(status=CopyStatus.KILLED, reason_code=code, reason="in whatever words")


@pytest.mark.parametrize(
    ("copies", "told"),
    [
        ([], None),
        ([WHOLE, WHOLE], "saved"),
        ([WHOLE, TORN], "partly lost"),
        ([TORN], "partly lost"),
        ([WHOLE, LOST], "partly lost"),
        ([LOST, LOST], "lost"),
        ([LOST, a_copy(status=CopyStatus.KILLED, reason="somebody killed 1-W")], "lost"),
    ],
)
def test_when_all_copies_have_ended_the_logs_are_saved_or_lost(copies, told):
    assert safety(copies, WEEK, None) == told


def test_logs_are_at_risk_until_the_cluster_deletes_the_first_that_is_not_saved():
    waiting, running = a_copy(log_at=NOW), a_copy(status=CopyStatus.RUNNING, log_at=EARLIER)

    told = safety([waiting, running, WHOLE, LOST], WEEK, None)

    assert told == "at risk until 2026-11-29T04:00:00.000+00:00"


def test_a_saved_log_that_is_copied_again_is_not_at_risk():
    assert safety([a_copy(status=CopyStatus.RUNNING, saved_at=NOW)], WEEK, None) == "saved"


def test_while_applications_are_looked_for_those_that_nobody_knows_are_at_risk():
    risk = "at risk until 2026-11-29T04:00:00.000+00:00"

    assert safety([], WEEK, EARLIER) == safety([WHOLE], WEEK, EARLIER) == risk


@pytest.mark.parametrize("reason", [CopyReason.NOT_TRACKED, CopyReason.REMOVED, CopyReason.EXPIRED])
def test_what_nobody_wants_is_not_lost(reason):
    assert safety([unwanted(reason)], WEEK, None) is None
    assert safety([unwanted(reason), WHOLE], WEEK, None) == "saved"
    assert completeness(unwanted(reason)) is None


def test_a_copy_that_was_killed_is_lost():
    assert completeness(unwanted(None)) == Completeness.LOST
