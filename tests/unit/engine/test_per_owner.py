from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from tracker_service.engine.per_owner import PerOwner


class Later(Executor):
    """Runs what is submitted when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.waiting.append(lambda: fn(*args, **kwargs))
        return Future()

    def run(self) -> None:
        self.waiting.pop(0)()


@pytest.fixture
def later() -> Later:
    return Later()


def test_work_of_a_user_is_not_started_while_other_work_of_the_user_is_done(later):
    done: list[str] = []
    per_owner = PerOwner(later)

    assert per_owner.start("guest", lambda: done.append("first"))
    assert not per_owner.start("guest", lambda: done.append("second"))
    later.run()

    assert (done, later.waiting) == (["first"], [])


def test_users_do_not_wait_for_each_other(later):
    per_owner = PerOwner(later)

    per_owner.start("guest", lambda: None)

    assert per_owner.start("sam", lambda: None)
    assert per_owner.busy == {"guest", "sam"}


def test_after_the_end_of_their_work_more_of_a_users_may_begin(later):
    per_owner = PerOwner(later)
    per_owner.start("guest", lambda: None)

    later.run()

    assert per_owner.busy == set()
    assert per_owner.start("guest", lambda: None)


def test_work_that_breaks_does_not_lock_its_user_out(later):
    def broken() -> None:
        raise KeyError

    per_owner = PerOwner(later)
    per_owner.start("guest", broken)

    with pytest.raises(KeyError):
        later.run()

    assert per_owner.start("guest", lambda: None)
