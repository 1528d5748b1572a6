"""Holds the jobs, the applications and the file system of the sandbox under one lock."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import RLock

from tracker_service.sandbox.aggregation import (
    COPY_SCRIPT,
    copy_log,
    make_log_directory,
    place_log,
)
from tracker_service.sandbox.coordinators import Coordinator
from tracker_service.sandbox.courses import Action, ActionError, Scenario, Schedule
from tracker_service.sandbox.hdfs import Hdfs
from tracker_service.sandbox.jobs import NAME_NODE, Application, Definition, Job
from tracker_service.sandbox.scenarios import SCRIPT_FAILED, scenarios, schedules

USERS = ("guest", "sam", "tom", "admin")

_JOB_ID = "{:07d}-261122041514971-oozie-sandbox-{}"
#: When the resource manager was started, in milliseconds: a part of the applications' ids.
STARTED_MS = 1795323021266


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
        self._application_number = itertools.count(1)
        self.jobs: dict[str, Job] = {}
        self.coordinators: dict[str, Coordinator] = {}
        self.applications: dict[str, Application] = {}
        self.hdfs = Hdfs.with_homes(self.now, USERS)
        self.ready_made = tuple(self._add(scenario) for scenario in scenarios().values())
        self.ready_made_coordinators = tuple(map(self._add_coordinator, schedules().values()))

    def listing(self) -> list[tuple[str, str]]:
        """Return the ready-made jobs: the id of each, and in one line what happens."""
        return [(job.job_id, job.scenario.description) for job in self.ready_made] + [
            (job.job_id, job.schedule.description) for job in self.ready_made_coordinators
        ]

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

    def start(
        self,
        scenario: str,
        user: str = "guest",
        *,
        runs_s: float | None = None,
        aggregates_s: float | None = None,
    ) -> str:
        """Start a job that follows a scenario and return its id.

        The times replace the scenario's own: from the start to the end, and from there until the
        logs are complete.
        """
        course = scenarios()[scenario]
        if runs_s is not None:
            course = course.lasting(runs_s)
        if aggregates_s is not None:
            course = replace(course, aggregates_s=aggregates_s)
        with self.settled():
            job = self._add(course, user)
            self.begin(job)
        return job.job_id

    def start_coordinator(
        self, schedule: str = "coordinator", user: str = "guest", *, runs_s: float | None = None
    ) -> str:
        """Start a coordinator that follows a schedule and return its id."""
        course = schedules()[schedule]
        if runs_s is not None:
            course = course.lasting(runs_s)
        with self.settled():
            coordinator = self._add_coordinator(course, user)
            self._begin_coordinator(coordinator)
        return coordinator.job_id

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
        known = definition or Definition(name="")
        [action] = scenarios()["succeeds"].actions
        runs_s = self._copy_runs_s if known.executable == COPY_SCRIPT else self._shell_runs_s
        action = replace(
            action,
            name=known.action,
            ends_s=0.1 if problem else runs_s,
            tries=((),) if problem else action.tries,
            error=problem,
            executable=known.executable,
            arguments=known.arguments,
            ok_to=known.ok_to,
            error_to=known.error_to,
        )
        course = Scenario(
            name=known.name,
            description="",
            actions=(action,),
            status_of_failure="FAILED" if problem else "KILLED",
        )
        return self._add(course, user, definition=known, configuration=configuration)

    def begin(self, job: Job) -> None:
        """Start the clock of a job, unless it runs already."""
        if job.started_at is not None or job.killed_at is not None:
            return
        job.started_at = self.now()
        for step in job.steps(math.inf):
            if step.action.child is not None:
                self._at(step.starts_at, partial(self._begin_child, job, step.action))
        for application in self._applications_of(job):
            job.applications.append(application)
            self.applications[application.application_id] = application
            self._at(application.launches_at, partial(self._make_log_directory, application))
            self._at(application.aggregated_at, partial(self._place_log, application))
        if job.definition.executable == COPY_SCRIPT and not job.scenario.actions[0].error:
            self._at(job.ends_at, partial(self._copy_log, job))
        if math.isfinite(job.scenario.killed_after_s):
            self._at(job.started_at + job.scenario.killed_after_s, partial(self._kill, job))

    def kill(self, job_id: str) -> None:
        """Kill a job; one that has ended stays as it is."""
        with self.settled():
            self._kill(self.jobs.get(job_id) or self.coordinators[job_id])

    def look_up(self, job_id: str) -> Job | None:
        """Return the workflow that somebody asks about; a ready-made one begins now."""
        job = self.jobs.get(job_id)
        if job in self.ready_made:
            self.begin(job)
        return job

    def look_up_coordinator(self, job_id: str) -> Coordinator | None:
        """Return the coordinator that somebody asks about; a ready-made one begins now."""
        coordinator = self.coordinators.get(job_id)
        if coordinator in self.ready_made_coordinators:
            self._begin_coordinator(coordinator)
        return coordinator

    def _add(
        self,
        scenario: Scenario,
        user: str = "guest",
        *,
        definition: Definition | None = None,
        configuration: dict[str, str] | None = None,
        parent_id: str | None = None,
        external_id: str | None = None,
    ) -> Job:
        sequence = next(self._sequence)
        job = Job(
            sequence=sequence,
            job_id=_JOB_ID.format(sequence, "W"),
            user=user,
            definition=definition or Definition(name=scenario.name),
            scenario=scenario,
            configuration=configuration or _usual_configuration(user, scenario.name),
            created_at=self.now(),
            parent_id=parent_id,
            external_id=external_id,
        )
        self.jobs[job.job_id] = job
        return job

    def _add_coordinator(self, schedule: Schedule, user: str = "guest") -> Coordinator:
        sequence = next(self._sequence)
        coordinator = Coordinator(
            sequence=sequence,
            job_id=_JOB_ID.format(sequence, "C"),
            user=user,
            schedule=schedule,
            configuration=_usual_configuration(user, schedule.name, "oozie.coord.application.path"),
            created_at=self.now(),
        )
        self.coordinators[coordinator.job_id] = coordinator
        return coordinator

    def _begin_coordinator(self, coordinator: Coordinator) -> None:
        if coordinator.started_at is not None or coordinator.killed_at is not None:
            return
        coordinator.started_at = self.now()
        for number, course in enumerate(coordinator.schedule.workflows, 1):
            parent_id = f"{coordinator.job_id}@{number}"
            job = self._add(course, coordinator.user, parent_id=parent_id)
            coordinator.workflows.append(job)
            self.begin(job)

    def _begin_child(self, parent: Job, action: Action) -> None:
        """Start the workflow of a sub-workflow action."""
        if action.child is None or parent.has_ended(self.now()):
            return
        external_id = f"{parent.job_id}@{action.name}@0"
        configuration = _usual_configuration(parent.user, action.child.name) | {
            "oozie.wf.parent.id": parent.job_id,
            "oozie.wf.superparent.id": parent.job_id,
            "oozie.wf.external.id": external_id,
            "oozie.action.subworkflow.depth": "1",
        }
        child = self._add(
            action.child,
            parent.user,
            configuration=configuration,
            parent_id=parent.job_id,
            external_id=external_id,
        )
        parent.children[action.name] = child
        self.begin(child)

    def _applications_of(self, job: Job) -> Iterator[Application]:
        for number_of_action, action in enumerate(job.scenario.actions):
            for number_of_try, runs in enumerate(action.tries):
                for number_of_run, _ in enumerate(runs):
                    yield Application(
                        application_id=_application_id(next(self._application_number)),
                        job=job,
                        number_of_action=number_of_action,
                        number_of_try=number_of_try,
                        number_of_run=number_of_run,
                    )

    def _kill(self, job: Job | Coordinator) -> None:
        now = self.now()
        if job.has_ended(now):
            return
        job.killed_at = now
        if isinstance(job, Coordinator):
            for workflow in job.workflows:
                self._kill(workflow)
            return
        for child in job.children.values():
            self._kill(child)
        for application in job.applications:
            self._at(application.aggregated_at, partial(self._place_log, application))

    def _at(self, when: float, effect: Callable[[], None]) -> None:
        if math.isfinite(when):
            heapq.heappush(self._due, (when, next(self._order), effect))

    def _make_log_directory(self, application: Application) -> None:
        if application.has_launched(self.now()):
            make_log_directory(self.hdfs, application)

    def _place_log(self, application: Application) -> None:
        now = self.now()
        if application.aggregated_at <= now and application.has_launched(now):
            place_log(self.hdfs, application)

    def _copy_log(self, job: Job) -> None:
        if job.killed_at is None and not copy_log(self.hdfs, self.applications, job):
            job.scenario = job.scenario.failing(SCRIPT_FAILED)


def _application_id(number: int) -> str:
    """Number applications without ever making an id longer: a log's lengths depend on it."""
    return f"application_{STARTED_MS + number // 10000}_{number % 10000:04d}"


def _usual_configuration(
    user: str, name: str, path: str = "oozie.wf.application.path"
) -> dict[str, str]:
    return {
        path: f"{NAME_NODE}/user/{user}/{name}",
        "user.name": user,
        "mapreduce.job.user.name": user,
        "resourceManager": "localhost:8032",
        "nameNode": NAME_NODE,
    }
