"""Wait for a condition instead of sleeping for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

#: A long limit costs nothing if the condition comes, and leaves a slow machine enough time.
GENEROUS_S = 180.0
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5


def until(
    look: Callable[[], Value],
    is_good: Callable[[Value], object] = bool,
    seconds: float = GENEROUS_S,
) -> Value:
    """Call `look` again and again until its value is good; return the value.

    The longer it has waited, the longer it pauses, so that it keeps the machine less busy: by a
    tenth of the time.

    Raises:
        AssertionError: no value was good within `seconds`.
    """
    began = time.monotonic()
    while not is_good(value := look()):
        waited_s = time.monotonic() - began
        if waited_s > seconds:
            raise AssertionError(f"not within {seconds} s; the last that was seen: {value!r}")
        time.sleep(min(max(SHORTEST_PAUSE_S, waited_s / 10), LONGEST_PAUSE_S))
    return value
