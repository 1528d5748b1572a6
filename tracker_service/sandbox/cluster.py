"""Holds the jobs, the applications and the file system of the sandbox under one lock."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import RLock
from typing import Any

from tracker_service.sandbox.hdfs import Hdfs
from tracker_service.sandbox.inodes import HdfsError
from tracker_service.sandbox.jobs import NAME_NODE, Definition, Job, log_directory
from tracker_service.sandbox.scenarios import (
    RECORDED_CLUSTER,
    SCRIPT_FAILED,
    ActionError,
    Scenario,
    scenarios,
)
from tracker_service.sandbox.workflows import hdfs_path

USERS = ("guest", "sam", "tom", "admin")
#: The script of the workflow that copies an application's log into HDFS.
COPY_SCRIPT = "copy-log.sh"

_JOB_ID = "{:07d}-261122041514971-oozie-sandbox-W"
_NO_LOG = "Can not find any log file matching the pattern: [ALL] for the application: {}\n"


class Cluster:
    """A cluster whose clock can be set; things that are due are done at the next look."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        copy_runs_s: float = 1.0,
        shell_runs_s: float = 2.0,
    ) -> None:
        self._clock = clock
        self._copy_runs_s = copy_runs_s
        self._shell_runs_s = shell_runs_s
        self._lock = RLock()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._time_of_effect: float | None = None
        self._sequence = itertools.count(1)
        self._application_number = itertools.count(7)
        self.jobs: dict[str, Job] = {}
        self.applications: dict[str, Job] = {}
        self.hdfs = Hdfs.with_homes(self.now, USERS)
        self.ready_made = tuple(
            self._add(
                user="guest",
                definition=Definition(name=name),
                scenario=scenario,
                application_id=_application_id(number),
            )
            for number, (name, scenario) in zip((4, 5, 6), scenarios().items(), strict=True)
        )

    def now(self) -> float:
        """Return the time, or that of the effect that is being done late."""
        return self._clock() if self._time_of_effect is None else self._time_of_effect

    @contextmanager
    def settled(self) -> Iterator[float]:
        """Hold the lock with everything done that is due; give the time."""
        with self._lock:
            now = self._clock()
            while self._due and self._due[0][0] <= now:
                self._time_of_effect, _, effect = heapq.heappop(self._due)
                try:
                    effect()
                finally:
                    self._time_of_effect = None
            yield now

    def start(self, scenario: str, user: str = "guest", **timings: float) -> str:
        """Start a job that follows a scenario and return its id.

        The timings replace the scenario's own: runs_s, launches_after_s, aggregates_s.
        """
        changes: dict[str, Any] = dict(timings)
        course = dataclasses.replace(scenarios()[scenario], **changes)
        with self.settled():
            job = self._add(user=user, definition=Definition(name=scenario), scenario=course)
            self.begin(job)
        return job.job_id

    def submit(
        self,
        definition: Definition | None,
        configuration: dict[str, str],
        user: str,
        *,
        problem: ActionError | None = None,
    ) -> Job:
        """Add the job of a submitted workflow; it begins when it is told to.

        A problem lets the workflow fail when it reaches its action, before any application.
        """
        course = dataclasses.replace(
            scenarios()["succeeds"], runs_s=self._shell_runs_s, error=problem
        )
        if problem is not None:
            course = dataclasses.replace(
                course, runs_s=0.1, launches_after_s=None, status_of_failure="FAILED"
            )
        elif definition is not None and definition.executable == COPY_SCRIPT:
            course = dataclasses.replace(course, runs_s=self._copy_runs_s)
        return self._add(
            user=user,
            definition=definition or Definition(name=""),
            scenario=course,
            configuration=configuration,
        )

    def begin(self, job: Job) -> None:
        """Start the clock of a job, unless it runs already."""
        if job.started_at is not None or job.killed_at is not None:
            return
        job.started_at = self.now()
        if job.launches_at <= job.ends_at:
            self._at(job.launches_at, partial(self._make_log_directory, job))
        if job.definition.executable == COPY_SCRIPT and job.error is None:
            self._at(job.ends_at, partial(self._copy_log, job))
        self._at(job.aggregated_at, partial(self._place_log, job))

    def kill(self, job_id: str) -> None:
        """Kill a job; one that has ended stays as it is."""
        with self.settled() as now:
            job = self.jobs[job_id]
            if not job.has_ended(now):
                job.killed_at = now
                self._at(job.aggregated_at, partial(self._place_log, job))

    def look_up(self, job_id: str) -> Job | None:
        """Return the job that somebody asks about by its id; a ready-made one begins now."""
        job = self.jobs.get(job_id)
        if job in self.ready_made:
            self.begin(job)
        return job

    def _add(
        self,
        *,
        user: str,
        definition: Definition,
        scenario: Scenario,
        configuration: dict[str, str] | None = None,
        application_id: str | None = None,
    ) -> Job:
        sequence = next(self._sequence)
        job = Job(
            sequence=sequence,
            job_id=_JOB_ID.format(sequence),
            application_id=application_id or _application_id(next(self._application_number)),
            user=user,
            definition=definition,
            scenario=scenario,
            configuration=configuration or _usual_configuration(user, definition.name),
            created_at=self.now(),
            error=scenario.error,
        )
        self.jobs[job.job_id] = job
        self.applications[job.application_id] = job
        return job

    def _at(self, when: float, effect: Callable[[], None]) -> None:
        if when != float("inf"):
            heapq.heappush(self._due, (when, next(self._order), effect))

    def _make_log_directory(self, job: Job) -> None:
        if not job.has_launched(self.now()):
            return
        names = job.log_directory.strip("/").split("/")
        for depth in range(2, len(names) + 1):
            self.hdfs.place_directory(
                "/" + "/".join(names[:depth]), owner=job.user, group="hadoop", permission=0o770
            )

    def _place_log(self, job: Job) -> None:
        if job.aggregated_at > self.now() or not job.has_launched(self.now()):
            return
        recording = job.scenario.recording
        self.hdfs.place_file(
            f"{job.log_directory}/localhost_8041",
            len(recording.aggregated),
            partial(recording.aggregated_of, job.application_id),
            owner=job.user,
            group="hadoop",
        )

    def _copy_log(self, job: Job) -> None:
        """Do what the copying workflow's script does, as the job's user."""
        if job.killed_at is not None:
            return
        application_id, owner, part, reason = (*job.definition.arguments, "", "", "", "")[:4]
        try:
            text = self._readable_text(application_id, owner, job.user)
            self._write(part, job.user, text, permission=0o600)
        except HdfsError as refused:
            job.error = SCRIPT_FAILED
            self._write_reason(reason, job.user, f"{refused}\n")

    def _readable_text(self, application_id: str, owner: str, user: str) -> bytes:
        """Return what ``yarn logs`` prints for *user*; raise where it finds nothing."""
        job = self.applications.get(application_id)
        try:
            if job is None:
                raise HdfsError(application_id)
            directory = log_directory(owner or job.user, application_id)
            names = [name for name, _ in self.hdfs.list(directory, user)]
            for name in names:
                self.hdfs.check_readable(f"{directory}/{name}", user)
            if not names:
                raise HdfsError(directory)
        except HdfsError as exc:
            raise HdfsError(_NO_LOG.format(application_id).rstrip("\n")) from exc
        return job.scenario.recording.text_of(application_id)

    def _write(self, path: str, user: str, data: bytes, *, permission: int) -> None:
        self.hdfs.create(hdfs_path(path), user, data, overwrite=True, permission=permission)

    def _write_reason(self, path: str, user: str, reason: str) -> None:
        try:
            self._write(path, user, reason.encode(), permission=0o600)
        except HdfsError:
            return  # the script cannot say why either


def _application_id(number: int) -> str:
    """Number applications without ever making an id longer: a log's lengths depend on it."""
    return f"application_{RECORDED_CLUSTER + number // 10000}_{number % 10000:04d}"


def _usual_configuration(user: str, name: str) -> dict[str, str]:
    return {
        "oozie.wf.application.path": f"{NAME_NODE}/user/{user}/{name}",
        "user.name": user,
        "mapreduce.job.user.name": user,
        "resourceManager": "localhost:8032",
        "nameNode": NAME_NODE,
    }
