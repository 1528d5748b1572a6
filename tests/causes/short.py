"""Short cases: what a program printed when it failed, in what YARN and Oozie write around it.

A file of `short/` has keys, and then what was written where:

    what, origin, category, retryable   as in a `case.yml`; more categories where one may argue
    proof         parts of lines that prove the cause, with `|` between them
    type, exit    of the action, and the exit code of its program
    oozie         code and message of the action, if it had no launcher
    == launcher stderr     what a file of the launcher holds, `== child 2 syslog` of a container
    == yarn child          YARN's diagnostics of the child, or of the launcher

`{filler 300}` stands for so many lines of a healthy program.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.causes.noise import Noise
from tracker_service.causes.rules import Rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.causes import Category, Retryable
from tracker_service.domain.failures import Failure, Witness
from tracker_service.domain.jobs import Action, JobId, JobStatus

SHORT = Path(__file__).parent / "short"
_JOB = JobId("0000007-261130100000000-oozie-test-W")
_LAUNCHER = ApplicationId("application_1764500000000_0014")
_CHILD = ApplicationId("application_1764500000000_0015")
_MAINS = {"hive2": "Hive2Main", "map-reduce": "MapReduceMain"}
_FILLER = "26/11/30 10:00:{:02d} INFO load.Step: step {} is over, 1000 rows so far\n"
_RELAYED = ">>> Invoking Shell command line now >>\n\n{}Exit code of the Shell command {}\n"


@dataclass(frozen=True, kw_only=True)
class Short:
    """A short case with what is true about it."""

    name: str
    what: str
    origin: str
    category: frozenset[Category]
    retryable: Retryable | None  #: None where one may argue
    proof: tuple[str, ...]
    type: str
    exit: str = "1"
    oozie: str = ""
    parts: Mapping[tuple[str, ...], str] = field(default_factory=dict)  #: what is written where

    def failure(self, rules: Rules, noise: Noise | None = None) -> Failure:
        """Return what the service would know about it."""
        logs = self.logs(noise)
        return Failure(
            job_id=_JOB,
            run=0,
            status=JobStatus.KILLED,
            actions=[self._action],
            witnesses=[
                Witness(
                    application=application,
                    action="main",
                    workflow_id=_JOB,
                    role=role,
                    diagnostics=self.parts.get(("yarn", role)),
                    findings=_findings(logs.get(application, ""), rules),
                    is_saved=True,
                )
                for application, role in ((_LAUNCHER, "launcher"), (_CHILD, "child"))
                if application in logs or ("yarn", role) in self.parts
            ],
            is_complete=True,
        )

    @cached_property
    def _message(self) -> str:
        main = _MAINS.get(self.type, f"{self.type.capitalize()}Main")
        return f"Main Class [org.apache.oozie.action.hadoop.{main}], exit code [1]"

    @property
    def _action(self) -> Action:
        code, _, message = self.oozie.partition(" ")
        return Action(
            id=f"{_JOB}@main",
            name="main",
            type=self.type,
            status="ERROR",
            external_id=None if self.oozie else _LAUNCHER,
            child_ids=None,
            external_status="ERROR" if self.oozie else "FAILED/KILLED",
            error_code=code or "JA018",
            error_message=message or self._message,
        )

    def logs(self, noise: Noise | None) -> dict[ApplicationId, str]:
        """Return the logs of its applications as `yarn logs` prints them."""
        files: dict[ApplicationId, dict[tuple[int, str], str]] = defaultdict(dict)
        if not self.oozie:
            files[_LAUNCHER] = {(1, "stderr"): "", (1, "stdout"): ""}
        for (role, *where), text in self.parts.items():
            if role == "launcher":
                files[_LAUNCHER][1, where[0]] = text
            elif role == "child":
                files[_CHILD][int(where[0]), where[1]] = text
        return {
            application: "".join(
                _section(application, number, file, self._around(application, file, text, noise))
                for (number, file), text in sorted(content.items())
            )
            for application, content in files.items()
        }

    def _around(self, application: ApplicationId, file: str, text: str, noise: Noise | None) -> str:
        text = noise.around(text) if noise and text and file != "stdout" else text
        if application != _LAUNCHER:
            return text
        ended = f"Failing Oozie Launcher, {self._message}\n"
        if file == "stderr":
            return text + ended
        if file != "stdout":
            return text
        if self.type == "shell":
            lines = "".join(f"Stdoutput {line}\n" for line in text.splitlines())
            text = _RELAYED.format(lines, self.exit)
        return f">>> Invoking Main class now >>>\n\n{text}<<< Invocation completed <<<\n\n{ended}"


def _section(application: str, number: int, file: str, content: str) -> str:
    container = f"{application.replace('application', 'container')}_01_{number:06d}"
    return (
        f"Container: {container} on worker-1.example.org_8041\n{'=' * 60}\nLogType:{file}\n"
        f"LogLength:{len(content.encode())}\nLogContents:\n{content}\nEnd of LogType:{file}\n"
        f"{'*' * 60}\n\n"
    )


def _findings(log: str, rules: Rules) -> object:
    scanner = Scanner(rules)
    for _ in scanner.of([log.encode()]):
        pass
    return scanner.findings.as_json()


def short_cases() -> list[Short]:
    """Return all short cases by name."""
    return [short(file) for file in sorted(SHORT.glob("*.txt"))]


def short(file: Path) -> Short:
    """Read the case in a file.

    Raises:
        TypeError, ValueError: it has other keys or values.
    """
    head, *rest = re.split(r"(?m)^== (?=launcher|child|yarn)", _filled(file.read_text()))
    keys = dict(line.split(": ", 1) for line in head.splitlines())
    retryable = keys.pop("retryable")
    parts = (part.split("\n", 1) for part in rest)
    return Short(
        name=file.stem,
        category=frozenset(map(Category, keys.pop("category").split(","))),
        retryable=None if retryable == "any" else Retryable(retryable),
        proof=tuple(keys.pop("proof").split("|")),
        parts={tuple(where.split()): text for where, text in parts},
        **keys,
    )


def _filled(text: str) -> str:
    def filler(found: re.Match[str]) -> str:
        return "".join(_lines(int(found[1])))

    return re.sub(r"\{filler (\d+)\}\n", filler, text)


def _lines(count: int) -> Iterable[str]:
    return (_FILLER.format(number % 60, number) for number in range(count))
