"""Cut long lists into parts of a size that one statement or request takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

_IN_ONE_STATEMENT = 500


def chunks(items: Sequence[Item], size: int = _IN_ONE_STATEMENT) -> Iterator[Sequence[Item]]:
    """Yield the items in their order, in parts of this size; the last one may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
