"""The labelled corpus of failures: one directory a case below `cases/`.

    case.yml             what it is: see `Case`
    job.json             what Oozie answers to `GET /oozie/v2/job/<id>?show=info`
    applications.json    by application id: what the resource manager answers, `{"app": {…}}`
    logs/<app id>.log    the saved log of an application, as `yarn logs` prints it

`make/` records the cases of origin `real` anew.

A fifth of the cases is held out, by a hash of their names: rules are written without a look at
those, and are not changed any more once they have been run on them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from tracker_service.domain.causes import Category, Retryable

CASES = Path(__file__).parent / "cases"
_PARTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A failure with what is true about it."""

    name: str
    what: str  #: one sentence: what was done to make it fail
    origin: Literal["real", "written"]  #: a job that really failed on the real cluster, or a text
    category: Category
    retryable: Retryable | None = None  #: None where one may argue
    #: each whole line, without spaces around it, that proves the cause as well as the others
    evidence: tuple[str, ...]

    @property
    def directory(self) -> Path:
        """Return where its files are."""
        return CASES / self.name

    @property
    def is_held_out(self) -> bool:
        """Tell whether rules are written without it."""
        return is_held_out(self.name)

    @property
    def job(self) -> dict[str, Any]:
        """Return what Oozie answers about the job."""
        return dict(json.loads((self.directory / "job.json").read_bytes()))

    @property
    def applications(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what the resource manager answers, by application id."""
        file = self.directory / "applications.json"
        return dict(json.loads(file.read_bytes())) if file.exists() else {}

    @property
    def logs(self) -> Mapping[str, bytes]:
        """Return the saved logs by application id."""
        files = sorted((self.directory / "logs").glob("*.log"))
        return {file.stem: file.read_bytes() for file in files}


def is_held_out(name: str) -> bool:
    """Tell by the name of a case whether rules are written without it."""
    return hashlib.sha256(name.encode()).digest()[0] % _PARTS == 0


def case(directory: Path) -> Case:
    """Read the case in a directory.

    Raises:
        TypeError, ValueError: its `case.yml` has other keys or values.
    """
    told = yaml.safe_load((directory / "case.yml").read_bytes())
    return Case(
        name=directory.name,
        what=told.pop("what"),
        origin=told.pop("origin"),
        category=Category(told.pop("category")),
        retryable=Retryable(found) if (found := told.pop("retryable", None)) else None,
        evidence=tuple(told.pop("evidence")),
        **told,
    )


def cases() -> list[Case]:
    """Return all cases by name."""
    return [case(file.parent) for file in sorted(CASES.glob("*/case.yml"))]
