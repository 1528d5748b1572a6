"""Follow a log while it is written: read it again and again, and print the new part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import click

from tracker_service.cli.news import File, News
from tracker_service.cli.options import CannotTell, NotDone
from tracker_service.cli.tables import plain
from tracker_service.cli.waiting import has_ended
from tracker_service.client import Job, LogCopy, Reading, TrackerClient, TrackerClientError
from tracker_service.domain.jobs import JobStatus

_PAUSE_S = 2.0
_PATIENCE = 4  #: a pause is at least this many times as long as the request before it
_AWAY_S = 180.0  #: how long the service may be unreachable


class Follower:
    """Follows the log of one application: first the running one, then the saved one."""

    def __init__(
        self,
        tracker: TrackerClient,
        job_id: str,
        choose: Callable[[Job], str],
        container: str | None = None,
        file: str | None = None,
    ) -> None:
        """Prepare to follow.

        Args:
            choose: returns the application to follow if the caller of `pieces` names none.
            container, file: follow only these files, None for all.
        """
        self._tracker, self._job_id, self._choose = tracker, job_id, choose
        self._container, self._file = container, file
        self._news = News(container, file)
        self._notice = ""  #: the last one
        self._answered_at = time.monotonic()

    def pieces(self, application: str | None) -> Iterator[bytes]:
        """Yield the log as it is written; end when the log is saved and all of it is yielded.

        Args:
            application: the application to follow; None to wait for the first one of the job.

        Raises:
            NotDone: the log will not be saved.
            CannotTell: the service was unreachable too long.
            TrackerClientError: the service refuses to answer.
        """
        while True:
            began = time.monotonic()
            job = self._look()
            if job and not application and job.applications:
                application = self._choose(job)
            if job and application:
                copy = _copy_of(job, application)
                if copy and copy.status == "SUCCEEDED":
                    saved = self._tracker.logs(self._job_id, application, self._reading())
                    yield from self._news.new_in(saved)
                    return
                if self._is_over(job, copy):
                    self._end_unsaved(job, copy, application)
                    return
                yield from self._written(application)
            elif job and self._is_over(job, None):
                raise NotDone(f"{job.id} is {job.status}, and no application of it is known")
            elif job:
                self._say("waits for the first application")
            time.sleep(max(_PAUSE_S, _PATIENCE * (time.monotonic() - began)))

    def _look(self) -> Job | None:
        """Return the job; None if the service is unreachable at the moment."""
        try:
            job = self._tracker.job(self._job_id)
        except TrackerClientError as error:
            if not error.is_temporary:
                raise
            if time.monotonic() - self._answered_at > _AWAY_S:
                raise CannotTell(f"{error.message} (no answer for {_AWAY_S:g} s)") from error
            self._say(error.message)
            return None
        self._answered_at = time.monotonic()
        return job

    def _is_over(self, job: Job, copy: LogCopy | None) -> bool:
        """Tell whether the copy has ended, or no copy will be made."""
        if copy:
            return copy.is_finished
        return has_ended(job) and self._tracker.logs_status(job.id).is_finished

    def _end_unsaved(self, job: Job, copy: LogCopy | None, application: str) -> None:
        """End without a saved log, which is normal after a job that SUCCEEDED.

        Raises:
            NotDone: the copy has failed, the job did not succeed, or nothing of its log was seen.
        """
        if copy:
            raise NotDone(f"the log of {application} is not saved: {copy.reason}")
        reason = (
            f"{job.id} is {job.status}, and the log of {application} is not saved: "
            f"tracker copy-logs {job.id} saves it"
        )
        if job.status != JobStatus.SUCCEEDED or not self._news.has_seen_any:
            raise NotDone(reason)
        self._say(reason)

    def _written(self, application: str) -> Iterator[bytes]:
        """Yield the new part of a running application's log; if it cannot be read, say why."""
        try:
            seen = self._news.have_all_of()
            log = self._tracker.live_log(self._job_id, application, self._reading(seen))
            yield from self._news.new_in_live(log.pieces, seen if log.is_without_seen else {})
        except TrackerClientError as error:
            self._say(f"{error.message} Waiting until the log is saved.")

    def _reading(self, seen: Mapping[File, int] | None = None) -> Reading:
        """Choose what of the saved log is read; with `seen`, what of the running application."""
        return Reading(
            container=self._container,
            file=self._file,
            is_live=seen is not None,
            seen=tuple(f"{c}/{name}:{length}" for (c, name), length in (seen or {}).items()),
        )

    def _say(self, text: str) -> None:
        """Print a notice on standard error, unless the last one was the same."""
        if text != self._notice:
            self._notice = text
            click.echo(plain(text), err=True)


def _copy_of(job: Job, application: str) -> LogCopy | None:
    named = application.removeprefix("application_")
    return next((copy for copy in job.copies if copy.application == named), None)
