"""`tracker why`, asked about every job that fails: the true reason, and the line that proves it.

What is expected is what the workflow does, not what the command happens to print; and the line that
is quoted as the proof is looked up in the saved log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.acceptance import command
from tests.acceptance.service import RunningService
from tests.acceptance.test_main_way import saved_log, wait_until_running
from tests.cluster.through import WORKFLOWS
from tests.stands import SCENARIOS, SandboxStand, Stand
from tests.waiting import until
from tracker_service.sandbox.scenarios import scenarios

pytestmark = pytest.mark.slow

SECRET = "S3cr3tValue99"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a job fails, and what proves it."""

    category: str
    summary: str  #: its words
    action: str  #: the one that fails
    proof: str  #: a part of the line that proves it
    place: str  #: the file of a container that has this line; `YARN` where YARN said it
    exit_code: int | None = None


PYTHON_FILE_MISSING = Reason(
    category="missing-input",
    summary="The file 'daily.csv' is not there.",
    action="work",
    proof="FileNotFoundError: [Errno 2] No such file or directory: 'daily.csv'",
    place="stderr",
    exit_code=7,
)
TABLE_MISSING = Reason(
    category="missing-input",
    summary="/user/guest/java/table/data is not there.",
    action="index",
    proof="java.io.FileNotFoundException: File does not exist: /user/guest/java/table/data",
    place="stdout",
)
KILLED = Reason(
    category="killed-by-user",
    summary="It was killed by guest.",
    action="work",
    proof="was killed by user guest",
    place="YARN",
)
REASONS = {
    "a Python program that reads a file which is not there": ("fail", PYTHON_FILE_MISSING),
    "a Java program that reads a table which is not there": ("java", TABLE_MISSING),
    "a map-reduce job whose input is not there": (
        "missing",
        Reason(
            category="missing-input",
            summary="The input /user/guest/missing/2026-11-22 is not there.",
            action="count",
            proof="Input path does not exist: /user/guest/missing/2026-11-22",
            place="stdout",
        ),
    ),
    "a map-reduce job that writes where only another user may": (
        "denied",
        Reason(
            category="permission",
            summary="guest has no WRITE right on /user/sam.",
            action="count",
            proof='Permission denied: user=guest, access=WRITE, inode="/user/sam":sam',
            place="YARN",
        ),
    ),
    "a job whose sub-workflow fails": ("parent", PYTHON_FILE_MISSING),
    "an action that fails again when it is repeated": (
        "retried",
        replace(
            TABLE_MISSING,
            summary="/user/guest/retried/table/data is not there.",
            proof="File does not exist: /user/guest/retried/table/data",
        ),
    ),
    "a job that its user has killed": ("sleep", KILLED),
}
ON_THE_SANDBOX = REASONS | {
    "map tasks that YARN kills because they use too much memory": (
        "memory",
        Reason(
            category="memory",
            summary="A container used more PHYSICAL memory than it had asked for",
            action="count",
            proof="beyond the 'PHYSICAL' memory limit",
            place="syslog",
            exit_code=143,
        ),
    ),
    "a ready-made job that its user kills": ("killed", KILLED),
}
ON_THE_CLUSTER = REASONS | {
    "a map task for which its heap is too small": (
        "heap",
        Reason(
            category="memory",
            summary="A Java program ran out of memory: Java heap space.",
            action="count",
            proof="java.lang.OutOfMemoryError: Java heap space",
            place="syslog",
        ),
    ),
    "a script that ends with 7 after some words": (
        "secrets",
        Reason(
            category="application-error",
            summary="The action work failed with exit code 7; its last words: sqoop import",
            action="work",
            proof="sqoop import --password *** --table sales",
            place="stderr",
            exit_code=7,
        ),
    ),
}
#: A Java action that reads its configuration and does not find a part of it.
FORK = Reason(
    category="application-error",
    summary="resource-types.xml not found",
    action="check",
    proof="java.lang.RuntimeException: resource-types.xml not found",
    place="stdout",
)
#: Workflows of the real cluster that succeed, that others start, or that fail in one part only; and
#: `memory`, which fails where NodeManagers look at the memory of containers: these do not.
NOT_ASKED_ABOUT = {"ok", "count", "child", "daily", "bundle", "memory"}


class Asked:
    """A service that follows all these jobs, and the command in front of it."""

    def __init__(self, service: RunningService, jobs: dict[str, str], directory: Path) -> None:
        self._service, self._jobs, self._directory = service, jobs, directory

    def why(self, job: str, *options: str) -> CompletedProcess[str]:
        """Ask about a job, or a workflow that was started."""
        login = command.login(self._service.url)
        return command.tracker(self._directory, login, "why", *options, self._jobs.get(job, job))

    def saved_logs(self, job: str) -> dict[str, str]:
        """Return by application where the logs of a job are saved, once all of them are."""
        copies = self._service.wait_saved(self._jobs.get(job, job))
        return {application: copy["path"] for application, copy in copies.items()}

    def wait_for(self, workflow: str, status: str) -> str:
        """Wait until a job has come to its end, and return its id."""
        self._service.wait_for(self._jobs[workflow], status)
        return self._jobs[workflow]


@pytest.fixture(scope="module")
def asked(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """All jobs at once: together they take little longer than the longest of them."""
    directory = tmp_path_factory.mktemp("why")
    service = RunningService(stand, directory / stand.name, TRACKER_COPYING__REDACT="true")
    try:
        yield Asked(service, _started(stand, service), directory)
    finally:
        service.end()


def _started(stand: Stand, service: RunningService) -> dict[str, str]:
    reasons = ON_THE_SANDBOX if isinstance(stand, SandboxStand) else ON_THE_CLUSTER
    names = ["sleep", "fork", "ok", *{job for job, _ in reasons.values()} - {"sleep"}]
    if isinstance(stand, SandboxStand):
        names += ["daily", "bundle"]

    def job_of(name: str) -> str:
        # The first one is killed here, and other tests have the logs of coordinators saved, too.
        return (stand.start if name in ("sleep", "daily", "bundle") else stand.shared)(name)

    with ThreadPoolExecutor(4) as pool:
        jobs = dict(zip(names, pool.map(job_of, names), strict=True))
    service.track(*jobs.values())
    [application] = until(lambda: stand.yarn_applications(jobs["sleep"]))
    wait_until_running(stand, application)
    stand.kill(jobs["sleep"])
    return jobs


def each(reasons: dict[str, tuple[str, Reason]]) -> pytest.MarkDecorator:
    """Return what runs a test with each of these reasons, named by what fails."""
    return pytest.mark.parametrize(("workflow", "reason"), reasons.values(), ids=reasons.keys())


on_the_sandbox = pytest.mark.parametrize("stand", ["sandbox"], indirect=True)


@on_the_sandbox
@each(ON_THE_SANDBOX)
def test_why_a_job_of_the_sandbox_failed_is_told_and_proved(
    asked: Asked, stand: Stand, workflow: str, reason: Reason
) -> None:
    assert_told(asked, stand, workflow, reason)


@pytest.mark.cluster
@pytest.mark.parametrize("stand", ["real"], indirect=True)
@each(ON_THE_CLUSTER)
def test_why_a_job_of_the_real_cluster_failed_is_told_and_proved(
    asked: Asked, stand: Stand, workflow: str, reason: Reason
) -> None:
    assert_told(asked, stand, workflow, reason)


def test_why_a_branch_of_a_fork_failed_is_told_and_proved(asked: Asked, stand: Stand) -> None:
    assert_told(asked, stand, "fork", FORK)


def test_of_a_fork_the_branch_that_failed_is_named_and_not_the_one_that_was_stopped(
    asked: Asked,
) -> None:
    asked.saved_logs("fork")

    told = asked.why("fork")

    assert (told.returncode, FORK.summary in told.stdout.splitlines()[0]) == (0, True), told.stdout
    assert f"action {FORK.action}" in told.stdout
    assert "action count" not in told.stdout


def assert_told(asked: Asked, stand: Stand, workflow: str, reason: Reason) -> None:
    """Ask why a workflow failed, and compare the answer with the reason, and with its logs."""
    logs = asked.saved_logs(workflow)

    told = asked.why(workflow)

    assert (told.returncode, told.stderr) == (0, "")
    title, *rest = told.stdout.splitlines()
    assert reason.summary in title
    facts = _facts(rest)
    assert facts["what"].startswith(f"{reason.category} (")
    if reason.exit_code:
        assert facts["exit code"] == str(reason.exit_code)
    place, quote = _proof(rest)
    assert place == facts["where"]
    assert reason.proof in quote
    assert SECRET not in told.stdout
    if reason.place == "YARN":
        assert re.fullmatch(rf"YARN, action {reason.action}, application \d+_\d+", place)
    else:
        assert_stands_there(stand, logs, place, quote, reason)


def assert_stands_there(
    stand: Stand, logs: dict[str, str], place: str, quote: str, reason: Reason
) -> None:
    """Look up a quote where it is said to stand."""
    found = re.fullmatch(
        rf"action {reason.action}, application (\d+_\d+), (container_\d+_\d+_01_\d+),"
        rf" {reason.place}:(\d+)",
        place,
    )
    assert found, place
    application, container, number = found.groups()
    lines = content(saved_log(stand, logs[application]), container, reason.place).splitlines()
    assert lines[int(number) - 1].strip().expandtabs(4) == quote


def content(log: bytes, container: str, file: str) -> str:
    """Return the content of a file of a container in a log as YARN prints it."""
    head = rf"^Container: {container} on \S+\n(?:Log.*\n)*=+\nLogType:{file}\n(?:Log.*\n)*?"
    body = rf"LogContents:\n((?:.*\n)*?)End of LogType:{file}$"
    [found] = re.findall(head + body, log.decode(), re.MULTILINE)
    return str(found)


def _facts(lines: list[str]) -> dict[str, str]:
    found = (re.fullmatch(r"(what|where|error|exit code|hint|also hit)  +(.*)", s) for s in lines)
    return {fact[1]: fact[2] for fact in found if fact}


def _proof(lines: list[str]) -> tuple[str, str]:
    """Return where the line stands that proves it best, and the line."""
    at = lines.index("proved by")
    return lines[at + 1].strip(), lines[at + 2].strip()


def test_a_retried_action_is_proved_by_its_last_try(asked: Asked) -> None:
    first, last = sorted(asked.saved_logs("retried"))

    told = json.loads(asked.why("retried", "--output", "json").stdout)

    assert {quote["application"] for quote in told["evidence"]} == {last}
    assert first not in json.dumps(told)


def test_what_has_succeeded_has_no_reason(asked: Asked) -> None:
    job = asked.wait_for("ok", "SUCCEEDED")

    told = asked.why("ok")

    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"Error: {job} SUCCEEDED: there is nothing to explain.\n"


@on_the_sandbox
@pytest.mark.parametrize(("kind", "depth"), [("daily", 1), ("bundle", 2)])
def test_from_a_coordinator_or_a_bundle_one_is_led_to_the_workflows_that_failed(
    asked: Asked, stand: Stand, kind: str, depth: int
) -> None:
    jobs = [asked.wait_for(kind, "DONEWITHERROR")]

    for _ in range(depth):
        jobs = [below for job in jobs for below in _led_to(asked, job)]

    assert len(jobs) == depth
    for job in jobs:
        asked.saved_logs(job)  # until then nobody has read in them why
        told = asked.why(job)
        assert told.returncode == 0, told.stderr
        assert "no data of 2026-11-02" in told.stdout


def _led_to(asked: Asked, job: str) -> list[str]:
    """Return the jobs that one is told to ask about, once all that there are have ended."""
    told = until(lambda: asked.why(job), lambda seen: "Ask about" in seen.stderr)
    assert (told.returncode, told.stdout) == (1, "")
    found = re.fullmatch(
        rf"Error: {job} is DONEWITHERROR; why, the jobs that it started tell\."
        r" Ask about (\S+-[CW](?:, \S+-[CW])*)\.\n",
        told.stderr,
    )
    assert found, told.stderr
    return found[1].split(", ")


def test_no_job_that_fails_is_left_out() -> None:
    sandbox, cluster = (
        {job for job, _ in reasons.values()} | {"fork"}
        for reasons in (ON_THE_SANDBOX, ON_THE_CLUSTER)
    )

    assert {SCENARIOS[job] for job in sandbox} == set(scenarios()) - {"succeeds"}
    assert cluster == {path.name for path in WORKFLOWS.iterdir()} - NOT_ASKED_ABOUT
