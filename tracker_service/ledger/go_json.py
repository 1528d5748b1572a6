"""Write and read jobs and statuses as Go's encoding/json does for the clients of Gardener.

See https://pkg.go.dev/encoding/json and https://github.com/m-lab/etl-gardener.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tracker_service.domain.ledger import Datasets, LedgerJob, StateInfo
from tracker_service.errors import BadInput

ZERO_TIME = "0001-01-01T00:00:00Z"
_ESCAPED = {c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_TO_ESCAPE = re.compile("[<>&\u2028\u2029]")
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_FRACTION = re.compile(r"\.(\d+)")


def dumps(value: object) -> str:
    """Return JSON as Go writes it: compact, and safe inside HTML."""
    text = _COMPACT.encode(value)
    return _TO_ESCAPE.sub(lambda found: _ESCAPED[found.group()], text)


def time_text(instant: datetime | None) -> str:
    """Return an instant as Go writes it: RFC 3339, no zeros at the end; None is the zero time."""
    if instant is None:
        return ZERO_TIME
    text = instant.isoformat()[:19]
    if instant.microsecond:
        text += f".{instant.microsecond:06}".rstrip("0")
    offset = instant.isoformat()[-6:] if instant.utcoffset() else "Z"
    return text + offset


def time_of(text: str) -> datetime | None:
    """Return the instant that Go has written, cut to microseconds; None for the zero time.

    Raises:
        BadInput: it is no instant with a zone.
    """
    if text == ZERO_TIME:
        return None
    return date_of(text)


def date_of(text: str) -> datetime:
    """Return an instant that may be the zero time.

    Raises:
        BadInput: it is no instant with a zone.
    """
    shortened = _FRACTION.sub(lambda found: "." + found.group(1)[:6].ljust(6, "0"), str(text))
    try:
        instant = datetime.fromisoformat(shortened)
    except ValueError as error:
        raise BadInput(f"{text} is no time as in RFC 3339") from error
    if instant.tzinfo is None:
        raise BadInput(f"{text} has no time zone")
    return instant if instant.utcoffset() else instant.replace(tzinfo=UTC)


def job_body(job: LedgerJob) -> dict[str, Any]:
    """Return a job with the names and the order of Go's fields."""
    body: dict[str, Any] = {
        "Bucket": job.bucket,
        "Experiment": job.experiment,
        "Datatype": job.datatype,
        "Date": time_text(job.date),
    }
    if job.filter:
        body["Filter"] = job.filter
    datasets = job.datasets
    body["Datasets"] = {"Tmp": datasets.tmp, "Raw": datasets.raw, "Join": datasets.join}
    return body


def job_with_target(job: LedgerJob) -> bytes:
    """Return the answer to a client that has asked for the next job."""
    return dumps({"ID": job.key, "Job": job_body(job)}).encode()


def job_of(body: Mapping[str, Any]) -> LedgerJob:
    """Return the job of a saved state; unknown fields are left out, names match in any case.

    Raises:
        BadInput: it has no date, or a field of another type.
    """
    fields = _folded(body)
    datasets = _folded(fields.get("datasets") or {})
    return LedgerJob(
        bucket=_text(fields, "bucket"),
        experiment=_text(fields, "experiment"),
        datatype=_text(fields, "datatype"),
        date=date_of(_text(fields, "date") or ZERO_TIME),
        filter=_text(fields, "filter"),
        datasets=Datasets(_text(datasets, "tmp"), _text(datasets, "raw"), _text(datasets, "join")),
    )


def status_body(
    heartbeat_time: datetime | None, update_count: int, history: Sequence[StateInfo]
) -> dict[str, Any]:
    """Return a status with the names and the order of Go's fields."""
    return {
        "HeartbeatTime": time_text(heartbeat_time),
        "UpdateCount": update_count,
        "History": [
            {
                "State": info.state,
                "Start": time_text(info.start),
                "DetailTime": time_text(info.detail_time),
                "Detail": info.detail,
            }
            for info in history
        ],
    }


def status_of(body: Mapping[str, Any]) -> tuple[datetime | None, int, list[StateInfo]]:
    """Return the last heartbeat, the number of updates and the states of a saved status.

    Raises:
        BadInput: a field is missing or of another type.
    """
    fields = _folded(body)
    count = fields.get("updatecount") or 0
    if not isinstance(count, int):
        raise BadInput(f"UpdateCount is {count!r} and no number")
    history = [_state_of(_folded(info)) for info in fields.get("history") or ()]
    if not history:
        raise BadInput("a status has no history")
    return time_of(_text(fields, "heartbeattime") or ZERO_TIME), count, history


def _state_of(fields: Mapping[str, Any]) -> StateInfo:
    start = date_of(_text(fields, "start"))
    return StateInfo(
        _text(fields, "state"),
        start,
        date_of(_text(fields, "detailtime") or time_text(start)),
        _text(fields, "detail"),
    )


def _folded(body: object) -> dict[str, Any]:
    if not isinstance(body, Mapping):
        raise BadInput(f"expected an object of JSON, found {type(body).__name__}")
    return {str(name).lower(): value for name, value in body.items()}


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{name} is {value!r} and no text")
    # As Go reads half of a pair; and no database takes the character 0.
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in value)
