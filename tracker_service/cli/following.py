"""Follow a log while it is written: ask for it again and again, and give what is new."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator

import click

from tracker_service.cli.news import News
from tracker_service.cli.options import CannotTell, NotDone
from tracker_service.cli.tables import plain
from tracker_service.cli.waiting import has_ended
from tracker_service.client import Job, LogCopy, Reading, TrackerClient, TrackerClientError
from tracker_service.domain.jobs import JobStatus

_PAUSE_S = 2.0
_PATIENCE = 4  #: a pause is so many times as long as the look before it took
_AWAY_S = 180.0  #: so long a service may be away


class Follower:
    """Follows the log of one application, from what it has written to what is saved of it."""

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
            choose: chooses one of the applications of a job, where several are known.
        """
        self._tracker, self._job_id, self._choose = tracker, job_id, choose
        self._container, self._file = container, file
        self._news = News(container, file)
        self._said = ""
        self._heard = time.monotonic()

    def pieces(self, application: str | None) -> Iterator[bytes]:
        """Yield what is written, until the log is saved and all of it is told.

        Args:
            application: whose log; None: the one of the job's that will be there.

        Raises:
            NotDone: it will not be saved.
            CannotTell: the service was away for long.
            TrackerClientError: the service refuses.
        """
        while True:
            began = time.monotonic()
            job = self._look()
            if job and not application and job.applications:
                application = self._choose(job)
            if job and application:
                copy = _copy_of(job, application)
                if copy and copy.status == "SUCCEEDED":
                    yield from self._news.of(self._opened(application, is_live=False))
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
        """Return how the job is; None where the service is away for a moment."""
        try:
            job = self._tracker.job(self._job_id)
        except TrackerClientError as error:
            if not error.is_temporary:
                raise
            if time.monotonic() - self._heard > _AWAY_S:
                raise CannotTell(f"{error.message} (no answer for {_AWAY_S:g} s)") from error
            self._say(error.message)
            return None
        self._heard = time.monotonic()
        return job

    def _is_over(self, job: Job, copy: LogCopy | None) -> bool:
        """Tell whether nothing more will be copied of a log."""
        if copy:
            return copy.is_finished
        return has_ended(job) and self._tracker.logs_status(job.id).is_finished

    def _end_unsaved(self, job: Job, copy: LogCopy | None, application: str) -> None:
        """End without a saved log, which of a job that succeeded nobody has asked for.

        Raises:
            NotDone: the log would have been wanted.
        """
        if copy:
            raise NotDone(f"the log of {application} is not saved: {copy.reason}")
        told = (
            f"{job.id} is {job.status}, and the log of {application} is not saved: "
            f"tracker copy-logs {job.id} saves it"
        )
        if job.status != JobStatus.SUCCEEDED or not self._news.has_told:
            raise NotDone(told)
        self._say(told)

    def _written(self, application: str) -> Iterator[bytes]:
        """Yield what is new in the log of an application that runs, if that may be read."""
        try:
            yield from self._news.of(self._opened(application, is_live=True))
        except TrackerClientError as error:
            self._say(f"{error.message} Waiting until the log is saved.")

    def _opened(self, application: str, *, is_live: bool) -> Generator[bytes, None, None]:
        reading = Reading(container=self._container, file=self._file, is_live=is_live)
        return self._tracker.logs(self._job_id, application, reading)

    def _say(self, text: str) -> None:
        """Say something about the waiting, once, on standard error."""
        if text != self._said:
            self._said = text
            click.echo(plain(text), err=True)


def _copy_of(job: Job, application: str) -> LogCopy | None:
    named = application.removeprefix("application_")
    return next((each for each in job.copies if each.application == named), None)
