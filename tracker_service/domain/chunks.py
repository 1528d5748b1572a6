"""Split many items into chunks, one for each statement or request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

IN_ONE_STATEMENT = 500  #: values that a statement names at most


def chunks(items: Sequence[Item], size: int = IN_ONE_STATEMENT) -> Iterator[Sequence[Item]]:
    """Return the items in their order, up to `size` at once."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
