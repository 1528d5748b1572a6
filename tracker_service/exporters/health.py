"""How the updates of one master have gone: is it up, how long queries took, what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

#: Upper ends of the buckets of an update's duration, in seconds.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Errors that leave out values; all others fail an update.
OF_VALUES = frozenset({"bad_value", "bad_row", "duplicate"})


@dataclass(slots=True, kw_only=True)
class Health:
    """What is known of the updates of one master; it is stored, so that counts go on elsewhere."""

    name: str = ""  #: that the master gave itself last; empty while it never answered
    is_up: bool = False
    last_success: float | None = None  #: in seconds since 1970
    phases: dict[str, dict[str, float]] = field(default_factory=dict)  #: by query, in seconds
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)  #: by kind and query
    updates: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))  #: by bucket
    updates_s: float = 0.0  #: the seconds of all of them

    def took(self, seconds: float) -> None:
        """Count an update."""
        place = next((i for i, end in enumerate(BUCKETS) if seconds <= end), len(BUCKETS))
        self.updates[place] += 1
        self.updates_s += seconds

    def stored(self) -> dict[str, Any]:
        """Return what is stored, as JSON."""
        return {
            "name": self.name,
            "is_up": self.is_up,
            "last_success": self.last_success,
            "phases": self.phases,
            "errors": [[kind, query, count] for (kind, query), count in self.errors.items()],
            "updates": self.updates,
            "updates_s": self.updates_s,
        }

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any] | None) -> Self:
        """Return what was stored; of a master that is new, or by another release, begin anew."""
        if not stored or len(stored["updates"]) != len(BUCKETS) + 1:
            return cls()
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        errors = Counter({(kind, query): count for kind, query, count in stored["errors"]})
        return cls(**known | {"errors": errors})
