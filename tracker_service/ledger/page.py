"""Write the page that shows all jobs of a ledger, as Gardener's tracker does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import escape

from tracker_service.domain.ledger import FAILED, INIT, PARSE_COMPLETE
from tracker_service.store.ledger_jobs import Line

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


def page(lines: Iterable[Line]) -> Iterator[str]:
    """Yield the page piece by piece."""
    yield _HEAD
    rows: list[str] = []
    for line in lines:
        rows.append(_row(line))
        if len(rows) >= _AT_ONCE:
            yield "".join(rows)
            rows.clear()
    yield "".join(rows) + "</table>\n</body>\n</html>\n"


def _row(line: Line) -> str:
    day = line.date.partition("T")[0].replace("-", "")
    job = escape(f"{day}:{line.experiment}/{line.datatype}")
    red = ' style="color: red;"' if line.state in _RED else ""
    detail = escape(line.detail or line.before_detail or "")
    error = escape(line.detail) if line.state == FAILED else ""
    return (
        f"<tr><td> {job} </td><td> {_elapsed(line.started_us, line.detail_us)} </td>"
        f"<td> {_local(line.detail_us // 1_000_000)} </td><td{red}> {escape(line.state)} </td>"
        f"<td> {detail} </td><td> {line.update_count} </td><td> {error} </td></tr>\n"
    )


def _elapsed(started_us: int, detail_us: int) -> str:
    return duration_text((max(0, detail_us - started_us) + 500_000) // 1_000_000)


@lru_cache(maxsize=4096)
def _local(second: int) -> str:
    """Return a second in the zone of this process, as Gardener shows it."""
    return time.strftime("%m/%d~%H:%M:%S", time.localtime(second))


def duration_text(duration_s: int) -> str:
    """Return whole seconds as Go writes a duration: `0s`, `1m5s`, `26h3m10s`."""
    minutes, seconds = divmod(duration_s, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
