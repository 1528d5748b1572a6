"""Format answers: as JSON for programs, as aligned text for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tracker_service.client import (
        Answered,
        CopyProgress,
        Delivery,
        Job,
        LogCopy,
        NotifyToken,
        OozieJobs,
        Subscription,
    )

_NOTHING = "-"


def show_json(value: object) -> None:
    """Print a value as one JSON document."""
    click.echo(json.dumps(value, indent=2))


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows below their headings, in aligned columns."""
    lines = [list(headings), *([plain(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (zip(line, widths, strict=True) for line in lines)
    return "\n".join(
        "  ".join(value.ljust(width) for value, width in line).rstrip() for line in padded
    )


def plain(value: object) -> str:
    """Return a value in one line, without characters that control a terminal."""
    text = " ".join(str(value).split()) if value not in (None, "") else _NOTHING
    return "".join(char if char.isprintable() else "?" for char in text)


def answers(answered: Sequence[Answered]) -> str:
    """Return the answers to posted ids, and what became of ids of actions."""
    rows = [(answer.id, answer.status, " ".join(answer.applications)) for answer in answered]
    notes = [plain(answer.note) for answer in answered if answer.note]
    shown = table(("JOB", "STATUS", "APPLICATIONS"), rows)
    return "\n".join([shown, "", *notes]) if notes else shown


def job(shown: Job) -> str:
    """Return everything about one job."""
    facts = [
        ("name", shown.name),
        ("user", shown.user),
        ("started", shown.started),
        ("ended", shown.ended),
        ("tracked", "yes" if shown.is_tracked else f"no: tracker track {shown.id}"),
        ("reason", shown.reason),
        ("logs", shown.logs),
        ("why", shown.cause.summary if shown.cause else None),
    ]
    lines = [f"{shown.id} is {plain(shown.status)}"]
    lines += [f"  {name:8} {plain(value)}" for name, value in facts if value]
    # Control nodes (start, fork, end) are shown only if they have a message.
    actions = [a for a in shown.actions if not a.type.startswith(":") or a.error_message]
    if actions:
        rows = [(a.name, a.type, a.status, why(a.error_code, a.error_message)) for a in actions]
        lines += ["", table(("ACTION", "TYPE", "STATUS", "WHY"), rows)]
    if shown.copies:
        lines += ["", copies(shown.copies)]
    return "\n".join(lines)


def copies(listed: Sequence[LogCopy]) -> str:
    """Return where each log is saved, or why it is not."""
    rows = [(c.application, c.status, c.bytes, c.path if c.bytes else c.reason) for c in listed]
    return table(("LOG OF", "COPY", "BYTES", "WHERE OR WHY NOT"), rows)


def verified(listed: Sequence[LogCopy]) -> str:
    """Return which saved logs are intact, or what is wrong with them."""
    words = {True: "yes", False: "NO", None: _NOTHING}
    rows = [(c.application, words[c.verified], c.bytes, c.verdict) for c in listed]
    return table(("LOG OF", "INTACT", "BYTES", "VERDICT"), rows)


def copy_progress(progress: CopyProgress) -> str:
    """Return how far the copying is."""
    state = (
        "finished" if progress.is_finished else "going on: tracker status ID shows how far it is"
    )
    lines = [copies(progress.copies), ""] if progress.copies else []
    lines += [f"not found: {plain(job_id)}" for job_id in progress.not_found]
    return "\n".join([*lines, f"copying is {state}"])


def tracked(jobs: Sequence[Job]) -> str:
    """Return the list of tracked jobs."""
    rows = [(j.id, j.status, j.owner, j.name, _saved(j), j.reason) for j in jobs]
    headings = ("JOB", "STATUS", "OWNER", "NAME", "LOGS SAVED", "REASON")
    return table(headings, rows) if rows else "no jobs"


def oozie_jobs(page: OozieJobs) -> str:
    """Return a page of Oozie's own list."""
    rows = [(j.id, j.status, j.name, j.user, j.started) for j in page.jobs]
    shown = table(("JOB", "STATUS", "NAME", "USER", "STARTED"), rows)
    return f"{shown}\n\n{len(rows)} of {page.total} jobs" if rows else "no jobs"


def notify_tokens(tokens: Sequence[NotifyToken]) -> str:
    """Return the list of notification tokens."""
    rows = [(token.id, token.created, token.used) for token in tokens]
    return table(("TOKEN", "CREATED", "LAST USED"), rows) if rows else "no notification tokens"


def subscriptions(known: Sequence[Subscription]) -> str:
    """Return the list of subscriptions."""
    rows = [(each.id, each.sink, each.to, _wishes(each), each.trouble) for each in known]
    heads = ("SUBSCRIPTION", "SINK", "TO", "WANTS", "TROUBLE")
    return table(heads, rows) if rows else "no subscriptions: tracker notify add URL|ADDRESS"


def _wishes(shown: Subscription) -> str:
    wants = ((name, value) for name, value in shown.wants.items())
    return "; ".join(f"{name} {_words(value)}" for name, value in wants) or "all events"


def _words(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return " ".join(map(str, value.values()))
    return "" if value is True else str(value)


def deliveries(found: Sequence[Delivery]) -> str:
    """Return what became of messages."""
    rows = [(d.id, d.created, d.type, d.subject, d.state, d.attempts, d.answer) for d in found]
    heads = ("ID", "SINCE", "EVENT", "ABOUT", "STATE", "TRIES", "ANSWER")
    return table(heads, rows) if rows else "nothing was sent"


def why(code: str | None, message: str | None) -> str:
    """Return a code and its explanation, without what is missing."""
    return ": ".join(part for part in (code, message) if part)


def _saved(shown: Job) -> str:
    done = sum(copy.status == "SUCCEEDED" for copy in shown.copies)
    return f"{done}/{len(shown.copies)}" if shown.copies else ""
