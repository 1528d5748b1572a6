"""Show answers: as JSON for programs, as aligned text for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tracker_service.client import Answered, CopyProgress, Job, LogCopy, NotifyToken, OozieJobs

_NOTHING = "-"


def show_json(value: object) -> None:
    """Print a value as one JSON document."""
    click.echo(json.dumps(value, indent=2))


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows below their headings, each column as wide as it must be."""
    lines = [list(headings), *([plain(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (zip(line, widths, strict=True) for line in lines)
    return "\n".join(
        "  ".join(value.ljust(width) for value, width in line).rstrip() for line in padded
    )


def plain(value: object) -> str:
    """Return a value in one line that does nothing to a terminal."""
    text = " ".join(str(value).split()) if value not in (None, "") else _NOTHING
    return "".join(char if char.isprintable() else "?" for char in text)


def answers(told: Sequence[Answered]) -> str:
    """Return what the service said to each id."""
    rows = [(each.id, each.status, " ".join(each.applications)) for each in told]
    return table(("JOB", "STATUS", "APPLICATIONS"), rows)


def job(told: Job) -> str:
    """Return all about one job."""
    facts = [
        ("name", told.name),
        ("user", told.user),
        ("started", told.started),
        ("ended", told.ended),
        ("tracked", "yes" if told.is_tracked else f"no: tracker track {told.id}"),
        ("reason", told.reason),
        ("logs", told.logs),
        ("why", told.cause.summary if told.cause else None),
    ]
    lines = [f"{told.id} is {plain(told.status)}"]
    lines += [f"  {name:8} {plain(value)}" for name, value in facts if value]
    # The nodes that only lead from one action to the next say something if they say why.
    actions = [a for a in told.actions if not a.type.startswith(":") or a.error_message]
    if actions:
        rows = [(a.name, a.type, a.status, why(a.error_code, a.error_message)) for a in actions]
        lines += ["", table(("ACTION", "TYPE", "STATUS", "WHY"), rows)]
    if told.copies:
        lines += ["", copies(told.copies)]
    return "\n".join(lines)


def copies(told: Sequence[LogCopy]) -> str:
    """Return where the logs are, or why they are not."""
    rows = [(c.application, c.status, c.bytes, c.path if c.bytes else c.reason) for c in told]
    return table(("LOG OF", "COPY", "BYTES", "WHERE OR WHY NOT"), rows)


def verified(told: Sequence[LogCopy]) -> str:
    """Return which saved logs are intact, or what is wrong with them."""
    words = {True: "yes", False: "NO", None: _NOTHING}
    rows = [(c.application, words[c.verified], c.bytes, c.verdict) for c in told]
    return table(("LOG OF", "INTACT", "BYTES", "VERDICT"), rows)


def copy_progress(told: CopyProgress) -> str:
    """Return how far the copying is."""
    state = "finished" if told.is_finished else "going on: tracker status ID shows how far it is"
    lines = [copies(told.copies), ""] if told.copies else []
    lines += [f"not found: {plain(job_id)}" for job_id in told.not_found]
    return "\n".join([*lines, f"copying is {state}"])


def tracked(told: Sequence[Job]) -> str:
    """Return the list of tracked jobs."""
    rows = [(j.id, j.status, j.owner, j.name, _saved(j), j.reason) for j in told]
    headings = ("JOB", "STATUS", "OWNER", "NAME", "LOGS SAVED", "REASON")
    return table(headings, rows) if rows else "no jobs"


def oozie_jobs(told: OozieJobs) -> str:
    """Return a page of Oozie's own list."""
    rows = [(j.id, j.status, j.name, j.user, j.started) for j in told.jobs]
    shown = table(("JOB", "STATUS", "NAME", "USER", "STARTED"), rows)
    return f"{shown}\n\n{len(rows)} of {told.total} jobs" if rows else "no jobs"


def notify_tokens(told: Sequence[NotifyToken]) -> str:
    """Return what is known of tokens."""
    rows = [(token.id, token.created, token.used) for token in told]
    return table(("TOKEN", "CREATED", "LAST USED"), rows) if rows else "no notification tokens"


def why(code: str | None, message: str | None) -> str:
    """Return a short word with its explanation, as far as there are any."""
    return ": ".join(part for part in (code, message) if part)


def _saved(told: Job) -> str:
    done = sum(copy.status == "SUCCEEDED" for copy in told.copies)
    return f"{done}/{len(told.copies)}" if told.copies else ""
