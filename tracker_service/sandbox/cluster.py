"""Holds the jobs, the applications and the file system of the sandbox under one lock."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from uuid import uuid4

from tracker_service.sandbox.aggregation import (
    COPY_SCRIPT,
    copy_log,
    make_log_directory,
    place_log,
)
from tracker_service.sandbox.bundles import KICKED_OFF_AFTER_S, Bundle
from tracker_service.sandbox.coordinators import Coordinator
from tracker_service.sandbox.courses import (
    ActionError,
    Collection,
    CoordinatorCourse,
    Scenario,
    ScriptedAction,
)
from tracker_service.sandbox.hdfs import Hdfs
from tracker_service.sandbox.jobs import Definition, SandboxApplication, SandboxJob, applications_of
from tracker_service.sandbox.scenarios import (
    SCRIPT_FAILED,
    collections,
    course_of,
    scenarios,
    schedules,
)
from tracker_service.sandbox.timeline import Timeline
from tracker_service.sandbox.workflows import NOTIFICATION_URL, usual_configuration

USERS = ("guest", "sam", "tom", "admin")

_COUNTED_ID = "{:07d}-261122041514971-oozie-sandbox-{}"
_SYSTEM_ID = "sandbox"  #: in ids of the random generator
_ID_CHARS = 37  #: of a random id before its type


class Cluster:
    """A cluster whose clock can be set; things that are due are done at the next look."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        copy_runs_s: float = 1.0,
        shell_runs_s: float = 2.0,
        random_ids: bool = False,
        homes: str = "/user",
    ) -> None:
        """Start the cluster.

        Args:
            homes: directory of the users' homes (`dfs.user.home.dir.prefix`).
        """
        timeline = Timeline(clock)
        self.now, self._at, self.settled = timeline.now, timeline.at, timeline.settled
        self._copy_runs_s = copy_runs_s
        self._shell_runs_s = shell_runs_s
        self._random_ids = random_ids
        self._sequence = itertools.count(1)
        self._application_number = itertools.count(1)
        self.jobs: dict[str, SandboxJob] = {}
        self.coordinators: dict[str, Coordinator] = {}
        self.bundles: dict[str, Bundle] = {}
        self.applications: dict[str, SandboxApplication] = {}
        self.notifying: set[str] = set()  #: workflows that run and want a URL to be called
        self.homes = homes
        self.hdfs = Hdfs.with_homes(self.now, USERS, homes)
        self.ready_made = tuple(self._add(scenario) for scenario in scenarios().values())
        self.ready_made_coordinators = tuple(map(self._add_coordinator, schedules().values()))
        self.ready_made_bundles = tuple(map(self._add_bundle, collections().values()))

    def listing(self) -> list[tuple[str, str]]:
        """Return the ready-made jobs: the id of each, and in one line what happens."""
        return [
            *((job.job_id, job.scenario.description) for job in self.ready_made),
            *((job.job_id, job.schedule.description) for job in self.ready_made_coordinators),
            *((job.job_id, job.collection.description) for job in self.ready_made_bundles),
        ]

    def start(
        self,
        scenario: str,
        user: str = "guest",
        *,
        runs_s: float | None = None,
        aggregates_s: float | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> str:
        """Start a job that follows a scenario and return its id.

        The times replace the scenario's own: from the start to the end, and from there until the
        logs are complete. The properties are added to its configuration.
        """
        course = scenarios()[scenario]
        if runs_s is not None:
            course = course.lasting(runs_s)
        if aggregates_s is not None:
            course = replace(course, aggregates_s=aggregates_s)
        with self.settled():
            job = self._add(course, user)
            job.configuration |= properties or {}
            self.begin(job)
        return job.job_id

    def start_coordinator(
        self,
        schedule: str = "coordinator",
        user: str = "guest",
        *,
        runs_s: float | None = None,
        waits_s: float = 0.0,
    ) -> str:
        """Start a coordinator that follows a schedule and return its id.

        Its actions wait for their input before they start their workflows.
        """
        course = schedules()[schedule]
        if runs_s is not None:
            course = course.lasting(runs_s)
        with self.settled():
            coordinator = self._add_coordinator(course, user)
            self._begin_coordinator(coordinator, waits_s)
        return coordinator.job_id

    def submit(
        self,
        definition: Definition | None,
        configuration: dict[str, str],
        user: str,
        *,
        problem: ActionError | None = None,
    ) -> SandboxJob:
        """Add the job of a submitted workflow; it begins when it is told to.

        A problem lets the workflow fail when it reaches its action, before any application.
        """
        known = definition or Definition(name="")
        runs_s = self._copy_runs_s if known.executable == COPY_SCRIPT else self._shell_runs_s
        course = course_of(known, runs_s, problem)
        return self._add(course, user, definition=known, configuration=configuration)

    def begin(self, job: SandboxJob) -> None:
        """Start the clock of a job, unless it runs already."""
        if job.started_at is not None or job.killed_at is not None:
            return
        job.started_at = self.now()
        if NOTIFICATION_URL in job.configuration:
            self.notifying.add(job.job_id)
        for step in job.steps(math.inf):
            if step.action.child is not None:
                self._at(step.starts_at, partial(self._begin_child, job, step.action))
        for application in applications_of(job, self._application_number):
            job.applications.append(application)
            self.applications[application.application_id] = application
            self._at(application.launches_at, partial(self._make_log_directory, application))
            self._at(application.aggregated_at, partial(self._place_log, application))
        if job.definition.executable == COPY_SCRIPT and not job.scenario.actions[0].error:
            self._at(job.ends_at, partial(self._copy_log, job))
        if math.isfinite(job.scenario.killed_after_s):
            self._at(job.started_at + job.scenario.killed_after_s, partial(self._kill, job))

    def start_bundle(
        self, collection: str = "bundle", user: str = "guest", *, runs_s: float | None = None
    ) -> str:
        """Start a bundle of coordinators and return its id."""
        course = collections()[collection]
        if runs_s is not None:
            course = course.lasting(runs_s)
        with self.settled():
            bundle = self._add_bundle(course, user)
            self._begin_bundle(bundle)
        return bundle.job_id

    def kill(self, job_id: str) -> None:
        """Kill a job; one that has ended stays as it is."""
        with self.settled():
            scheduled = self.coordinators.get(job_id) or self.bundles.get(job_id)
            self._kill(scheduled or self.jobs[job_id])

    def rerun(self, job_id: str) -> None:
        """Run a workflow again that has ended; what it ran before stays known to YARN and HDFS."""
        with self.settled():
            ended = self.jobs[job_id]
            again = replace(
                ended,
                run=ended.run + 1,
                started_at=None,
                killed_at=None,
                applications=[],
                children={},
            )
            self.jobs[job_id] = again
            for coordinator in self.coordinators.values():
                coordinator.workflows = [
                    again if job is ended else job for job in coordinator.workflows
                ]
            self.begin(again)

    def look_up(self, job_id: str) -> SandboxJob | None:
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

    def look_up_bundle(self, job_id: str) -> Bundle | None:
        """Return the bundle that somebody asks about; a ready-made one begins now."""
        bundle = self.bundles.get(job_id)
        if bundle in self.ready_made_bundles:
            self._begin_bundle(bundle)
        return bundle

    def _new_id(self, sequence: int, letter: str) -> str:
        """Return an id as Oozie's UUIDService makes it with one of its two generators."""
        if not self._random_ids:
            return _COUNTED_ID.format(sequence, letter)
        return f"{str(uuid4())[: _ID_CHARS - len(_SYSTEM_ID)]}-{_SYSTEM_ID}-{letter}"

    def _add(
        self,
        scenario: Scenario,
        user: str = "guest",
        *,
        definition: Definition | None = None,
        configuration: dict[str, str] | None = None,
        parent_id: str | None = None,
        external_id: str | None = None,
    ) -> SandboxJob:
        sequence = next(self._sequence)
        job = SandboxJob(
            sequence=sequence,
            job_id=self._new_id(sequence, "W"),
            user=user,
            definition=definition or Definition(name=scenario.name),
            scenario=scenario,
            configuration=configuration or usual_configuration(user, scenario.name),
            created_at=self.now(),
            parent_id=parent_id,
            external_id=external_id,
        )
        self.jobs[job.job_id] = job
        return job

    def _add_coordinator(
        self, schedule: CoordinatorCourse, user: str = "guest", bundle_id: str | None = None
    ) -> Coordinator:
        sequence = next(self._sequence)
        path = "oozie.coord.application.path"
        coordinator = Coordinator(
            sequence=sequence,
            job_id=self._new_id(sequence, "C"),
            user=user,
            schedule=schedule,
            configuration=usual_configuration(user, schedule.name, path),
            created_at=self.now(),
            bundle_id=bundle_id,
        )
        self.coordinators[coordinator.job_id] = coordinator
        return coordinator

    def _begin_coordinator(self, coordinator: Coordinator, waits_s: float = 0.0) -> None:
        if coordinator.started_at is not None or coordinator.killed_at is not None:
            return
        coordinator.started_at = self.now()
        if waits_s:
            self._at(coordinator.started_at + waits_s, partial(self._start_actions, coordinator))
        else:
            self._start_actions(coordinator)

    def _start_actions(self, coordinator: Coordinator) -> None:
        """Start the workflows of a coordinator, unless it was killed while its actions waited."""
        if coordinator.killed_at is not None:
            return
        for number, course in enumerate(coordinator.schedule.workflows, 1):
            parent_id = f"{coordinator.job_id}@{number}"
            job = self._add(course, coordinator.user, parent_id=parent_id)
            coordinator.workflows.append(job)
            self.begin(job)

    def _add_bundle(self, collection: Collection, user: str = "guest") -> Bundle:
        sequence = next(self._sequence)
        path = "oozie.bundle.application.path"
        bundle = Bundle(
            sequence=sequence,
            job_id=self._new_id(sequence, "B"),
            user=user,
            collection=collection,
            configuration=usual_configuration(user, collection.name, path),
            created_at=self.now(),
        )
        self.bundles[bundle.job_id] = bundle
        return bundle

    def _begin_bundle(self, bundle: Bundle) -> None:
        if bundle.started_at is None and bundle.killed_at is None:
            bundle.started_at = self.now()
            self._at(bundle.started_at + KICKED_OFF_AFTER_S, partial(self._kick_off, bundle))

    def _kick_off(self, bundle: Bundle) -> None:
        """Start the coordinators of a bundle."""
        if bundle.killed_at is not None:
            return
        for schedule in bundle.collection.coordinators:
            coordinator = self._add_coordinator(schedule, bundle.user, bundle.job_id)
            bundle.coordinators.append(coordinator)
            self._begin_coordinator(coordinator)

    def _begin_child(self, parent: SandboxJob, action: ScriptedAction) -> None:
        """Start the workflow of a sub-workflow action."""
        if action.child is None or parent.has_ended(self.now()):
            return
        external_id = f"{parent.job_id}@{action.name}@{parent.run}"
        configuration = usual_configuration(parent.user, action.child.name) | {
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

    def _kill(self, job: SandboxJob | Coordinator | Bundle) -> None:
        now = self.now()
        if job.has_ended(now):
            return
        job.killed_at = now
        for child in _below(job):
            self._kill(child)
        if not isinstance(job, SandboxJob):
            return
        for application in job.applications:
            self._at(application.aggregated_at, partial(self._place_log, application))

    def _make_log_directory(self, application: SandboxApplication) -> None:
        if application.has_launched(self.now()):
            make_log_directory(self.hdfs, application)

    def _place_log(self, application: SandboxApplication) -> None:
        now = self.now()
        if application.aggregated_at <= now and application.has_launched(now):
            place_log(self.hdfs, application)

    def _copy_log(self, job: SandboxJob) -> None:
        if job.killed_at is None and not copy_log(self.hdfs, self.applications, job):
            job.scenario = job.scenario.failing(SCRIPT_FAILED)


def _below(job: SandboxJob | Coordinator | Bundle) -> Sequence[SandboxJob | Coordinator]:
    """Return the jobs that a job has started."""
    match job:
        case Bundle():
            return job.coordinators
        case Coordinator():
            return job.workflows
    return list(job.children.values())
