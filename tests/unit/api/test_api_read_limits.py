from __future__ import annotations

import pytest
from flask import Response

from tracker_service.api.read_limits import ReadLimits
from tracker_service.errors import TooManyRequests


def reading(limits: ReadLimits, user: str, number: int) -> list[Response]:
    """Open logs whose readers do not read."""
    return [limits.sent(user, lambda: Response(iter([b"log"]))) for _ in range(number)]


def test_one_user_holds_at_most_half_of_the_threads():
    limits = ReadLimits(32)
    reading(limits, "guest", 16)

    with pytest.raises(
        TooManyRequests, match="16 logs and lists are being sent to you already"
    ) as refused:
        reading(limits, "guest", 1)

    assert refused.value.retry_after_s > 0
    assert reading(limits, "sam", 1)


def test_all_readers_together_leave_threads_for_other_requests():
    limits = ReadLimits(32)
    reading(limits, "guest", 16)
    reading(limits, "sam", 12)

    with pytest.raises(TooManyRequests, match="28 logs and lists are being sent already"):
        reading(limits, "admin", 1)


def test_who_has_read_or_gone_makes_room():
    limits = ReadLimits(2)
    for _ in range(5):
        [answer] = reading(limits, "guest", 1)
        answer.close()

    assert reading(limits, "guest", 1)


def test_a_log_that_cannot_be_opened_takes_no_room():
    limits = ReadLimits(2)

    def broken() -> Response:
        raise KeyError

    for _ in range(5):
        with pytest.raises(KeyError):
            limits.sent("guest", broken)

    assert reading(limits, "guest", 1)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_with_few_threads_one_log_can_be_read(threads):
    assert reading(ReadLimits(threads), "guest", 1)
