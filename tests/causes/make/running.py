"""Runs a planned job on the cluster that is up, until it has ended and its logs are aggregated."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.causes.make.application import files_of
from tests.causes.make.plan import Plan
from tests.cluster.through import ENDED, Gateway, until
from tests.stands import RealStand

ENDS_S = 300
STARTS_S = 90
AGGREGATES_S = 40
_PREFIX = "oozie:launcher:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A job that has failed, with all that was said about it."""

    job: Mapping[str, Any]
    applications: Mapping[str, Mapping[str, Any]]
    logs: Mapping[str, bytes]


class Runner:
    """Runs jobs on one cluster.

    Args:
        cluster: what `cluster up` told.
    """

    def __init__(self, cluster: Mapping[str, Any]) -> None:
        self._cluster = dict(cluster)
        self._stand = RealStand(self._cluster)

    def lacks(self, plan: Plan) -> list[str]:
        """Return the settings that the cluster lacks for a job to fail as planned."""
        return [need for need in plan.needs if need not in self._cluster["options"]["settings"]]

    def run(self, plan: Plan) -> Ran:
        """Run a job to its end.

        Raises:
            AssertionError: it succeeded, or did not end in time.
            subprocess.SubprocessError: a command before, during or after it failed.
        """
        client = self._stand.client(plan.user)
        self._upload(client, plan)
        self._commands(plan.before)
        try:
            job = client.submit(plan.app, **plan.properties)
            self._meddle(client, job, plan.during)
            state = client.wait(job, ENDED, ENDS_S)
        finally:
            self._commands(plan.after)
        if state == "SUCCEEDED":
            raise AssertionError(f"{plan.name}: {job} succeeded")
        return self._ran(client, job)

    def _upload(self, client: Gateway, plan: Plan) -> None:
        home = f"/user/{plan.user}/{plan.app}"
        client.delete(home)
        classpath = f"{self._cluster['home']}/jars/hadoop/*"
        for name, content in files_of(plan, classpath).items():
            client.create(f"{home}/{name}", content).expect(201)
        for path, text in plan.uploads.items():
            client.create(path, text.encode()).expect(201)

    def _meddle(self, client: Gateway, job: str, commands: Sequence[str]) -> None:
        for command in commands:
            if command == "wait for start":
                self._wait_running(client, job, "launcher")
            elif command == "wait for end":
                until(lambda: self._running(client, job), lambda found: not found, ENDS_S)
            elif command == "oozie kill":
                self._wait_running(client, job, "launcher")
                client.kill(job).expect(200)
            else:
                kinds = [kind for kind in ("launcher", "child") if f"{{{kind}}}" in command]
                found = {kind: self._wait_running(client, job, kind) for kind in kinds}
                self._commands([command.format(**found)])

    def _wait_running(self, client: Gateway, job: str, kind: str) -> str:
        """Wait until an application of the job runs, and return its id."""
        return until(
            lambda: self._running(client, job, launcher=kind == "launcher"), bool, STARTS_S
        )

    def _running(self, client: Gateway, job: str, *, launcher: bool = True) -> str:
        """Return an application of the job that runs, or nothing."""
        apps = [client.app(each) for each in self._stand.yarn_applications(job)]
        fitting = [app for app in apps if app["name"].startswith(_PREFIX) == launcher]
        return next((str(app["id"]) for app in fitting if app["state"] == "RUNNING"), "")

    def _commands(self, commands: Sequence[str]) -> None:
        for command in commands:
            program, *arguments = shlex.split(command)
            path = f"{self._cluster['home']}/bin/{program}"
            environment = self._cluster["environment"] | {"HADOOP_USER_NAME": "hdfs"}
            if program == "yarn":
                environment["HADOOP_USER_NAME"] = "yarn"
            subprocess.run(
                [path, *arguments], check=True, timeout=120, env=environment, capture_output=True
            )

    def _ran(self, client: Gateway, job: str) -> Ran:
        logs = {}
        applications = sorted(self._stand.yarn_applications(job))
        for application in applications:
            try:
                client.wait_logs(application, AGGREGATES_S)
                logs[application] = self._stand.yarn_logs(application, client.user)
            except AssertionError as error:  # there is no log where no container ever ran
                print(f"{application} has no log: {str(error)[:200]}")
        told = {each: {"app": client.app(each)} for each in applications}
        return Ran(job=client.info(job), applications=told, logs=logs)
