"""YARN applications of a job: their ids as Oozie 4 and 5 write them, and Oozie's YARN tags."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NewType

from tracker_service.domain.jobs import Action, Observation

ApplicationId = NewType("ApplicationId", str)  #: `application_<timestamp>_<sequence>`

_PREFIX = "application_"
SHORT_ID_PATTERN = r"[0-9]{1,19}_[0-9]{4,10}"
_ID = re.compile(r"(?:job|application)_([0-9]{1,19})_([0-9]{4,10})")
_SEPARATORS = re.compile(r"[,;\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One YARN application of a job, and the action that started it."""

    id: ApplicationId
    action: str  #: name of the action
    workflow_id: str  #: the job itself, or the sub-workflow that the action belongs to
    role: str  #: `launcher` or `child`


def application_id(text: str) -> ApplicationId | None:
    """Return the application of an id as Oozie 4 (`job_…`) or 5 (`application_…`) writes it."""
    found = _ID.fullmatch(text.strip())
    return ApplicationId(f"{_PREFIX}{found[1]}_{found[2]}") if found else None


def application_in(text: str) -> ApplicationId | None:
    """Return the first application that a text names, for example a URL; None if it names none."""
    found = _ID.search(text)
    return application_id(found[0]) if found else None


def short(application: str) -> str:
    """Return an application id as the API shows it: without `application_`."""
    return application.removeprefix(_PREFIX)


def from_short(text: str) -> ApplicationId | None:
    """Return the application that a caller names, with or without `application_`."""
    return application_id(_PREFIX + text.removeprefix(_PREFIX))


def applications_of(workflow_id: str, actions: Iterable[Action]) -> Iterator[Application]:
    """Yield the applications that a workflow's actions name: each launcher, then its children."""
    for action in actions:
        for role, ids in (("launcher", action.external_id), ("child", action.child_ids)):
            for text in _SEPARATORS.split(ids or ""):
                if found := application_id(text):
                    yield Application(
                        id=found, action=action.name, workflow_id=workflow_id, role=role
                    )


def yarn_tags(job: Observation, action: Action) -> set[str]:
    """Return the YARN tags that Oozie 4.2 to 5.2 may give to the children of an action.

    With them, YARN finds children that Oozie did not record in time. See `JavaActionExecutor.
    getActionYarnTag` and `LauncherHelper.getTag` of Oozie: the MD5, as a number in base 16 and so
    without leading zeros, of the action's id, or in a sub-workflow of its parent's id and name.
    """
    names = {action.id, f"{job.parent_id or job.id}@{action.name}"}
    return {f"oozie-{_hex_number(name)}" for name in names}


def _hex_number(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest().lstrip("0")
