"""Writes what was said about a failed job as a case of the corpus."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import yaml

from tests.causes.corpus import CASES
from tests.causes.make.plan import Plan
from tests.causes.make.running import Ran

HOME = "/opt/cluster"  #: stands in the corpus for the directory of the cluster that was used
_HEAD = re.compile(rb"\nLogLength:(\d+)\nLogContents:\n")


def record(plan: Plan, ran: Ran, home: str) -> None:
    """Write the answers and the logs of a case.

    Args:
        home: the directory of the cluster.
    """
    directory = CASES / plan.name
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "logs").mkdir(parents=True)
    for name, told in (("job", ran.job), ("applications", ran.applications)):
        text = json.dumps(told, indent=1, ensure_ascii=False).replace(home, HOME)
        (directory / f"{name}.json").write_text(text + "\n")
    for application, log in ran.logs.items():
        moved_log = b"".join(moved(log, home.encode(), HOME.encode()))
        (directory / "logs" / f"{application}.log").write_bytes(moved_log)


def moved(log: bytes, old: bytes, new: bytes) -> Iterator[bytes]:
    """Yield a log in which a directory has another name, and each length fits its content."""
    at = 0
    while head := _HEAD.search(log, at):
        end = head.end() + int(head[1])
        content = log[head.end() : end].replace(old, new)
        yield log[at : head.start()]
        yield b"\nLogLength:%d\nLogContents:\n" % len(content)
        yield content
        at = end
    yield log[at:]


def label(plan: Plan) -> None:
    """Write `case.yml`, with the lines of the recorded case that the plan's patterns match.

    Raises:
        LookupError: a pattern matches no line.
    """
    lines = list(said(plan))
    evidence: list[str] = []
    for pattern in plan.evidence:
        found = [line for line in lines if re.fullmatch(pattern, line)]
        if not found:
            raise LookupError(f"{plan.name}: no line matches {pattern}")
        evidence += found
    told: dict[str, Any] = {"what": plan.what, "origin": "real", "category": plan.category.value}
    if plan.retryable:
        told["retryable"] = plan.retryable.value
    told["evidence"] = list(dict.fromkeys(evidence))
    text = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=10_000)
    (CASES / plan.name / "case.yml").write_text(text)


def said(plan: Plan) -> Iterator[str]:
    """Yield every line of a recorded case, without the spaces around it."""
    directory = CASES / plan.name
    for file in sorted((directory / "logs").glob("*.log")):
        yield from (line.strip() for line in file.read_text().splitlines())
    for name in ("job", "applications"):
        yield from texts(json.loads((directory / f"{name}.json").read_bytes()))


def texts(told: Any) -> Iterator[str]:
    """Yield every line of every text in a JSON value."""
    if isinstance(told, str):
        yield from (line.strip() for line in told.splitlines())
    elif isinstance(told, dict | list):
        for value in told.values() if isinstance(told, dict) else told:
            yield from texts(value)
