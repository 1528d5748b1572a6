"""Write the page that shows all jobs of a ledger, as Gardener's tracker does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from html import escape

from tracker_service.domain.ledger import INIT, PARSE_COMPLETE
from tracker_service.store.ledger_jobs import StoredJob

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_COLUMNS = ("Job", "Elapsed", "Update Time", "State", "Detail", "Updates", "Error")
_RED = frozenset((INIT, PARSE_COMPLETE))
_AT_ONCE = 500  #: rows that are sent together

_HEAD = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Tracker State</title>
<style>table, th, td {{ border: 2px solid black; }}</style>
</head>
<body>
<div>Tracker State</div>
<h1>Jobs</h1>
<table style="width:100%">
<tr>{"".join(f"<th> {name} </th>" for name in _COLUMNS)}</tr>
"""


def page(jobs: Iterable[StoredJob]) -> Iterator[str]:
    """Yield the page piece by piece."""
    yield _HEAD
    rows: list[str] = []
    for job in jobs:
        rows.append(_row(job))
        if len(rows) >= _AT_ONCE:
            yield "".join(rows)
            rows.clear()
    yield "".join(rows) + "</table>\n</body>\n</html>\n"


def _row(stored: StoredJob) -> str:
    status = stored.status
    state = escape(status.state)
    red = ' style="color: red;"' if status.state in _RED else ""
    return (
        f"<tr><td> {escape(str(stored.job))} </td><td> {duration_text(status.elapsed)} </td>"
        f"<td> {status.detail_time.astimezone():%m/%d~%H:%M:%S} </td><td{red}> {state} </td>"
        f"<td> {escape(status.detail)} </td><td> {status.update_count} </td>"
        f"<td> {escape(status.error)} </td></tr>\n"
    )


def duration_text(duration: timedelta) -> str:
    """Return a duration of whole seconds as Go writes it: `0s`, `1m5s`, `26h3m10s`."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
