"""Give the engine the duties of the archive, which every worker runs."""

from __future__ import annotations

from tracker_service.archive.copying.copier import Copier
from tracker_service.archive.expiry import Expiry
from tracker_service.domain.tasks import TRACK
from tracker_service.engine.duties import Duty

_SAVE_S = 0.5


def duties(copier: Copier, expiry: Expiry) -> list[Duty]:
    """Return what every worker does for the logs of the jobs that it follows."""
    return [
        Duty(
            name="save",
            every_s=_SAVE_S,
            run=lambda held: copier.advance(held.of(TRACK)),
            stop=copier.stop,
        ),
        Duty(
            name="expire",
            every_s=expiry.every_s,
            run=lambda held: expiry.advance(list(held.of(TRACK))),
            stop=expiry.stop,
        ),
    ]
