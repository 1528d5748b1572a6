"""The values of all executions of a master: read from its answers, each on its own.

A value that is not what it should be is left out and counted; it never costs another one.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from tracker_service.errors import NoUsableAnswer
from tracker_service.exporters.families import NUMBERS, STATUSES

_LONGEST_LABEL = 1000  #: characters of a free text
_INFO = ("arch", "clustering_type", "name", "node_version", "platform", "teraslice_version")
_FAST = 1  #: level of zlib

Row = Mapping[str, Any]  #: of a JSON answer; its values may be anything
Values = list[Any]  #: of a column, one for each execution; None: there is none


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one update has found, as columns of the same length."""

    info: Mapping[str, str]  #: what the master says of itself
    columns: Mapping[str, Values]

    def packed(self) -> bytes:
        """Return the snapshot as it is stored."""
        return zlib.compress(json.dumps([self.info, self.columns]).encode(), _FAST)

    @classmethod
    def unpacked(cls, stored: bytes) -> Self:
        """Return a stored snapshot."""
        return cls(*json.loads(zlib.decompress(stored)))


class Mistakes(Counter[tuple[str, str]]):
    """Values that were left out, by the kind of the mistake and the query."""

    def note(self, kind: str, query: str) -> None:
        """Count one."""
        self[kind, query] += 1


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the answer to one query."""

    query: str
    mistakes: Mistakes

    def rows(self, answer: object) -> dict[str, Row]:
        """Return the rows of a list by their ex_id; the last one of the same id wins.

        Raises:
            NoUsableAnswer: the answer is no list.
        """
        found = dict[str, Row]()
        for row in _list(answer, self.query):
            ex_id = row.get("ex_id") if isinstance(row, dict) else None
            if not isinstance(ex_id, str) or not ex_id:
                self.mistakes.note("bad_row", self.query)
                continue
            if ex_id in found:
                self.mistakes.note("duplicate", self.query)
            found[ex_id] = row
        return found

    def numbers(self, rows: Iterable[Row], name: str) -> Values:
        """Return a number of each row."""
        return [self.number(row.get(name)) for row in rows]

    def number(self, value: object) -> int | float | None:
        """Return a number of JSON; anything else is a mistake."""
        if type(value) in (int, float) and _is_finite(value):
            return value  # type: ignore[return-value]
        self._mistake()
        return None

    def limit(self, row: Row, *names: str) -> int | float | None:
        """Return the first of some limits that is set: neither absent nor empty nor 0."""
        return next((self.number(row[name]) for name in names if row.get(name)), None)

    def date(self, value: object, *, unset: float | None = None) -> float | None:
        """Return a date as seconds since 1970.

        Args:
            unset: what an absent or empty date is.
        """
        if value is None or value == "":
            return unset
        try:
            found = datetime.fromisoformat(value)  # type: ignore[arg-type]
            if found.tzinfo is not None:
                seconds = found.timestamp()
                return int(seconds) if seconds.is_integer() else seconds
        except (TypeError, ValueError, OverflowError):
            pass
        self._mistake()
        return None

    def label(self, value: object) -> str:
        """Return a text for a label."""
        if not isinstance(value, str):
            self._mistake()
            return ""
        return label_text(value)

    def status(self, value: object) -> str | None:
        """Return the status of an execution."""
        if isinstance(value, str) and value in STATUSES:
            return value
        self._mistake()
        return None

    def _mistake(self) -> None:
        self.mistakes.note("bad_value", self.query)


def _list(answer: object, query: str) -> list[Any]:
    if isinstance(answer, list):
        return answer
    words = answer.get("error") if isinstance(answer, dict) else None
    told = f": {words}" if isinstance(words, str) else ""
    raise NoUsableAnswer(f"the answer to {query} is no list{told:.200}", kind="not_a_list")


def _is_finite(value: Any) -> bool:  # noqa: ANN401 (an integer of any size, or a float)
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def label_text(value: str) -> str:
    """Return a free text as a label may have it: not endless, and without half characters."""
    cut = value[:_LONGEST_LABEL]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode()


def info_of(answer: object) -> dict[str, str]:
    """Return what a master says of itself.

    Raises:
        NoUsableAnswer: it does not say its name.
    """
    said = answer if isinstance(answer, dict) else {}
    if not isinstance(said.get("name"), str):
        raise NoUsableAnswer("the answer at / does not name a cluster", kind="not_a_master")
    texts = {name: said.get(name) for name in _INFO}
    return {name: label_text(t) if isinstance(t, str) else "" for name, t in texts.items()}


def controller_columns(rows: Mapping[str, Row], reader: Reader) -> dict[str, Values]:
    """Return the columns of `/v1/cluster/controllers`."""
    each = rows.values()
    columns: dict[str, Values] = {
        "ex_id": [label_text(ex_id) for ex_id in rows],
        "job_id": [reader.label(row.get("job_id")) for row in each],
        "name": [reader.label(row.get("name")) for row in each],
    }
    for name in NUMBERS:
        columns[name] = reader.numbers(each, name)
    columns["started"] = [reader.date(row.get("started")) for row in each]
    columns["queuing_complete"] = [
        reader.date(row.get("queuing_complete"), unset=0) for row in each
    ]
    return columns


def execution_columns(
    ex_ids: Iterable[str], executions: Mapping[str, Row], reader: Reader
) -> dict[str, Values]:
    """Return the columns of `/v1/ex`; an execution that it does not list has no values."""
    readings: dict[str, Callable[[Row], object]] = {
        "status": lambda row: reader.status(row.get("_status")),
        "created": lambda row: reader.date(row.get("_created")),
        "updated": lambda row: reader.date(row.get("_updated")),
        "slicers": lambda row: reader.number(row.get("slicers")),
        "workers": lambda row: reader.number(row.get("workers")),
        "cpu_limit": lambda row: reader.limit(row, "resources_limits_cpu", "cpu"),
        "cpu_request": lambda row: reader.limit(row, "resources_requests_cpu", "cpu"),
        "memory_limit": lambda row: reader.limit(row, "resources_limits_memory", "memory"),
        "memory_request": lambda row: reader.limit(row, "resources_requests_memory", "memory"),
    }
    listed = [executions.get(ex_id) for ex_id in ex_ids]
    return {
        f"execution_{name}": [None if row is None else read(row) for row in listed]
        for name, read in readings.items()
    }


def images_of(state: object, reader: Reader) -> dict[str, str]:
    """Return the image of each execution by its ex_id; only a master in Kubernetes knows them.

    Raises:
        NoUsableAnswer: the answer to `/v1/cluster/state` is no object.
    """
    if not isinstance(state, dict):
        raise NoUsableAnswer("the answer to state is no object", kind="not_an_object")
    found = dict[str, str]()
    for node in state.values():
        active = node.get("active") if isinstance(node, dict) else None
        if not isinstance(active, list):
            reader.mistakes.note("bad_row", reader.query)
            continue
        for pod in active:
            image, ex_id = (pod.get("image"), pod.get("ex_id")) if isinstance(pod, dict) else (0, 0)
            if isinstance(image, str) and isinstance(ex_id, str):
                found[ex_id] = label_text(image)
    return found
