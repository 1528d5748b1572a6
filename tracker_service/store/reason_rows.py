"""Turn reasons into the columns of tasks and copies."""

from __future__ import annotations

from typing import Any

from tracker_service.domain.reasons import Reason


def reason_values(reason: Reason[Any] | None) -> dict[str, str | None]:
    """Return what the columns of a reason are to have."""
    if reason is None:
        return {"reason_code": None, "reason": None}
    return {"reason_code": reason.code, "reason": reason.text}
