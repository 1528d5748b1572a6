"""How much computing one reader of a saved log may cause, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import request

from tracker_service.api.turns import TURNS
from tracker_service.archive.reading.saved_log import SavedLog
from tracker_service.domain.work_budget import WorkBudget
from tracker_service.errors import BadInput, GatewayUnavailable, TooMuchWork, WorkerStops

#: Key in the WSGI environment: an event that is set when this process ends.
STOPPING = "tracker.stopping"
SPENT = (TooMuchWork, WorkerStops)  #: what ends a reading before the end of the log

#: Seconds of computing, more of them for each MiB, and in all. Usual searches take a tenth of that
#: for each MiB, lines as JSON a fifth.
_OF_SEARCHES, _OF_PARTS = (2.0, 0.1, 600.0), (3.0, 0.3, 3600.0)


def limited(log: SavedLog, *, is_search: bool = False) -> SavedLog:
    """Return a saved log whose reading for this request has a budget: it is no short one."""
    TURNS.is_long()
    cpu_s, cpu_s_per_mib, wall_s = _OF_SEARCHES if is_search else _OF_PARTS
    budget = WorkBudget(
        cpu_s=cpu_s,
        cpu_s_per_mib=cpu_s_per_mib,
        wall_s=wall_s,
        stopping=request.environ.get(STOPPING),
        turn=TURNS,
    )
    return replace(log, budget=budget)


def in_turns(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what is made of a limited log, each piece when it is this reader's turn."""
    while True:
        with TURNS.taken():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


@contextmanager
def finding_the_first_byte() -> Iterator[None]:
    """Wait for the turn; say what a reader can do where the budget ends before anything is sent."""
    try:
        with TURNS.taken():
            yield
    except TooMuchWork as error:
        raise BadInput(
            f"This part of the log is not sought, because {error}: send the header Range for bytes "
            "of the log, or choose an earlier container or file.",
            status=422,
        ) from error
    except WorkerStops as error:
        raise GatewayUnavailable("this process stops: ask again", retry_after_s=1) from error
