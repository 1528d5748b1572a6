"""Write reasons into the columns that tasks and copies have for them."""

from __future__ import annotations

from typing import Any

from tracker_service.domain.reasons import Reason


def reason_values(reason: Reason[Any] | None) -> dict[str, str | None]:
    """Return the values of the columns `reason_code` and `reason`."""
    if reason is None:
        return {"reason_code": None, "reason": None}
    return {"reason_code": reason.code, "reason": reason.text}
