"""The times for which the service waits and that no setting changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from tracker_service.domain.backoff import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times that a worker lets pass; tests of whole processes pass shorter ones."""

    #: From a job's end until YARN has heard of the last application that it started.
    settle: timedelta = timedelta(seconds=5)
    #: After a search for the applications of a job that failed.
    search_pauses: Backoff = field(default_factory=lambda: Backoff(first_s=5.0, longest_s=300.0))
    #: Log files of which YARN tells nothing are complete when they have not changed for so long.
    files_stable: timedelta = timedelta(seconds=10)
    #: Log files of which YARN tells nothing, and that are not there after this time, never come.
    files_missing: timedelta = timedelta(seconds=60)
    #: Before the next look at a copy, where the cluster did not answer.
    outage_pauses: Backoff = field(default_factory=lambda: Backoff(first_s=10.0, longest_s=60.0))
    #: Between two looks for users whose saved logs may be too old.
    expiry: timedelta = timedelta(minutes=1)
    #: Between two looks at the saved logs of one user.
    expiry_of_user: timedelta = timedelta(hours=1)


OPERATION = Timing()
