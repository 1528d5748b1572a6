"""Wait for a condition instead of sleeping for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

#: An end costs nothing where the condition comes, so that a slow machine is given much time.
GENEROUS_S = 180.0


def until(
    look: Callable[[], Value],
    is_good: Callable[[Value], object] = bool,
    seconds: float = GENEROUS_S,
) -> Value:
    """Look again and again until what is seen is good, and return it."""
    deadline = time.monotonic() + seconds
    while not is_good(value := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s; the last that was seen: {value!r}")
        time.sleep(0.05)
    return value
