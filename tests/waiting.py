"""Wait for a condition instead of sleeping for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

#: A long limit costs nothing if the condition comes, and leaves a slow machine enough time.
GENEROUS_S = 180.0


def until(
    look: Callable[[], Value],
    is_good: Callable[[Value], object] = bool,
    seconds: float = GENEROUS_S,
) -> Value:
    """Call `look` again and again until its value is good; return the value.

    Raises:
        AssertionError: no value was good within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not is_good(value := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s; the last that was seen: {value!r}")
        time.sleep(0.05)
    return value
