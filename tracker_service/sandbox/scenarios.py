"""Lists the jobs of the sandbox, each as a real cluster has run it."""

from __future__ import annotations

import math
from dataclasses import replace

from tracker_service.sandbox.courses import (
    ActionError,
    Collection,
    CoordinatorCourse,
    Run,
    Scenario,
    ScriptedAction,
)
from tracker_service.sandbox.jobs import Definition
from tracker_service.sandbox.recordings import recording

SCRIPT_FAILED = ActionError(
    code="1", message="Main Class [org.apache.oozie.action.hadoop.ShellMain], exit code [1]"
)
#: What Oozie notes when a job fails that the action's launcher has started: nothing.
SILENT = ActionError(code=None, message=None)

_NO_TABLE = "File does not exist: /user/guest/{}/table/data"
_NO_INPUT = "Input path does not exist: /user/guest/missing/2026-11-22"
_NO_FILE = "resource-types.xml not found"
_TASK_FAILED = (
    "Task failed task_{number}_m_000001\nJob failed as tasks failed. "
    "failedMaps:1 failedReduces:0 killedMaps:0 killedReduces: 0\n"
)
_DENIED = (
    "Job setup failed : org.apache.hadoop.security.AccessControlException: Permission denied: "
    'user=guest, access=WRITE, inode="/user/sam":sam:users:drwxr-xr-x'
)


def _workflow(
    name: str, description: str, *actions: ScriptedAction, killed_after_s: float = math.inf
) -> Scenario:
    return Scenario(
        name=name, description=description, actions=actions, killed_after_s=killed_after_s
    )


def _launcher(name: str, failure: str = "") -> Run:
    return Run(recording=recording(name), after_s=0.5, failure=failure)


def _shell(
    recorded: str, ends_s: float = math.inf, error: ActionError | None = None, ok_to: str = "end"
) -> ScriptedAction:
    run = _launcher(recorded, error.message or "" if error else "")
    return ScriptedAction(ends_s=ends_s, tries=((run,),), error=error, ok_to=ok_to)


def _java(
    recorded: str,
    ends_s: float,
    failure: str,
    starts_s: float = 0.0,
    main_class: str = "io.MapFile",
) -> ScriptedAction:
    return ScriptedAction(
        name=recorded.rpartition("/")[2],
        type="java",
        starts_s=starts_s,
        ends_s=ends_s,
        tries=((_launcher(recorded, failure),),),
        error=ActionError(code="JA018", message=failure),
        executable=f"org.apache.hadoop.{main_class}",
    )


def _map_reduce(
    recorded: str, ends_s: float, *, launcher_failure: str = "", child_failure: str = ""
) -> ScriptedAction:
    runs = [_launcher(f"{recorded}/count", launcher_failure)]
    if child_failure:
        job = replace(_launcher(f"{recorded}/count-job", child_failure), after_s=3, is_child=True)
        runs.append(job)
    known = ActionError(code="JA018", message=launcher_failure)
    return ScriptedAction(
        name="count",
        type="map-reduce",
        ends_s=ends_s,
        tries=(tuple(runs),),
        error=known if launcher_failure else SILENT,
    )


def _sub_workflow(name: str, child: Scenario) -> ScriptedAction:
    return ScriptedAction(
        name=name, type="sub-workflow", ends_s=child.runs_s, error=SILENT, child=child
    )


_WORKFLOWS = (
    _workflow("succeeds", "runs for 20 s and succeeds", _shell("ok/work", 20)),
    _workflow(
        "fails",
        "its shell action fails with a Python traceback after 5 s",
        _shell("fail/work", 5, SCRIPT_FAILED),
    ),
    _workflow("never-ends", "runs until somebody kills it", _shell("sleep/work")),
    _workflow(
        "java-exception",
        "its Java action fails with an exception after 5 s",
        _java("java/index", 5, _NO_TABLE.format("java")),
    ),
    _workflow(
        "out-of-memory",
        "YARN kills its map tasks, which use too much memory (exit code 143), after 10 s",
        _map_reduce("memory", 10, child_failure=_TASK_FAILED),
    ),
    _workflow(
        "missing-input",
        "the input path of its map-reduce action is missing, which shows after 5 s",
        _map_reduce("missing", 5, launcher_failure=_NO_INPUT),
    ),
    _workflow(
        "permission-denied",
        "its map-reduce job may not write where it should, which shows after 10 s",
        _map_reduce("denied", 10, child_failure=_DENIED),
    ),
    _workflow(
        "fork",
        "one branch of its fork fails after 8 s, and the other is killed",
        _shell("fork/work", 3, ok_to="split"),
        ScriptedAction(name="split", type=":FORK:", starts_s=3, ends_s=3, ok_to="*"),
        _java("fork/check", 8, _NO_FILE, starts_s=3, main_class="fs.FsShell"),
        ScriptedAction(
            name="count", type="map-reduce", starts_s=3, tries=((_launcher("fork/count"),),)
        ),
    ),
    _workflow(
        "sub-workflow",
        "its sub-workflow fails with a Python traceback after 5 s",
        _sub_workflow("call", _workflow("child", "", _shell("parent/work", 5, SCRIPT_FAILED))),
    ),
    _workflow(
        "retried",
        "its Java action fails after 4 s, is repeated once, and fails again",
        replace(
            _java("retried/index", 8, _NO_TABLE.format("retried")),
            tries=(
                (_launcher("retried/index", _NO_TABLE.format("retried")),),
                (_launcher("retried/index-2", _NO_TABLE.format("retried")),),
            ),
        ),
    ),
    _workflow(
        "killed",
        "its user kills it after 10 s",
        _shell("sleep/work"),
        killed_after_s=10,
    ),
)
_COORDINATORS = (
    CoordinatorCourse(
        name="coordinator",
        description="has three actions, of which the second fails after 10 s",
        first_day="2026-11-01",
        workflows=(
            _workflow("daily", "", _shell("daily/work", 5)),
            _workflow("daily", "", _shell("daily/work-2", 10, SCRIPT_FAILED)),
            _workflow("daily", "", _shell("daily/work-3", 15)),
        ),
    ),
)
_DAILY = _COORDINATORS[0]
_BUNDLES = (
    Collection(
        name="bundle",
        description="has two coordinators like that one, each with an action that fails",
        coordinators=(replace(_DAILY, name="first"), replace(_DAILY, name="second")),
    ),
)


def scenarios() -> dict[str, Scenario]:
    """Return the ready-made workflows by name."""
    return {scenario.name: scenario for scenario in _WORKFLOWS}


def schedules() -> dict[str, CoordinatorCourse]:
    """Return the ready-made coordinators by name."""
    return {schedule.name: schedule for schedule in _COORDINATORS}


def collections() -> dict[str, Collection]:
    """Return the ready-made bundles by name."""
    return {collection.name: collection for collection in _BUNDLES}


def course_of(definition: Definition, runs_s: float, problem: ActionError | None) -> Scenario:
    """Return what a submitted workflow does: its first action runs so long and succeeds.

    A problem lets it fail when it reaches that action, before any application.
    """
    [action] = scenarios()["succeeds"].actions
    action = replace(
        action,
        name=definition.action,
        ends_s=0.1 if problem else runs_s,
        tries=((),) if problem else action.tries,
        error=problem,
        executable=definition.executable,
        arguments=definition.arguments,
        ok_to=definition.ok_to,
        error_to=definition.error_to,
    )
    return Scenario(
        name=definition.name,
        description="",
        actions=(action,),
        status_of_failure="FAILED" if problem else "KILLED",
    )
