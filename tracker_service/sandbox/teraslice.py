"""A Teraslice master with a few controllers that live, pause, fail slices, and vanish.

Follows the API of a real master 2.0.0 with native clustering:
https://terascope.github.io/teraslice/docs/management-apis/endpoints-json
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Request, Response

PREFIX = "/teraslice"  #: of all paths; a real master has none, but proxies in front of some do
_VERSION = re.compile(r"^/v1(?=/|$)")
_SLICES_PER_S = 2.0
_QUEUED = 10_000
_PAUSED_S, _SHOWN_S, _AWAY_S = 60, 90, 30
_FAILS_AFTER_S = 20


@dataclass(frozen=True, slots=True)
class _Execution:
    """An execution as it is at one moment."""

    job: str
    number: int
    started: float
    age_s: float  #: while it was not paused
    status: str = "running"
    failed: int = 0

    @property
    def ids(self) -> dict[str, str]:
        return {
            "ex_id": f"00000000-0000-4000-8000-{_code(self.job)}{self.number:04d}",
            "job_id": f"10000000-0000-4000-8000-{_code(self.job)}0000",
        }

    def controller(self) -> dict[str, Any]:
        """Return a row of `/v1/cluster/controllers`; a date that is not set is left out."""
        is_paused = self.status == "paused"
        return {
            **self.ids,
            "name": self.job,
            "workers_available": int(is_paused),
            "workers_active": int(not is_paused),
            "workers_joined": 1,
            "workers_reconnected": 0,
            "workers_disconnected": 0,
            "job_duration": 0,
            "failed": self.failed,
            "subslices": 0,
            "queued": _QUEUED,
            "slice_range_expansion": 0,
            "processed": int(self.age_s * _SLICES_PER_S),  # with those that failed
            "slicers": 1,
            "subslice_by_key": 0,
            "started": _date(self.started),
        }

    def stored(self) -> dict[str, Any]:
        """Return the execution as `/v1/ex` shows it."""
        return {
            "name": self.job,
            "lifecycle": "persistent",
            "workers": 1,
            "slicers": 1,
            "operations": [{"_op": "test-reader"}, {"_op": "noop"}],
            **self.ids,
            "metadata": {},
            "_status": self.status,
            "_context": "ex",
            "_created": _date(self.started - 2),
            "_updated": _date(self.started + self.age_s),
            "_has_errors": self.failed > 0,
            "_slicer_stats": {},
            "_failureReason": "",
        }


def _code(job: str) -> str:
    return job.encode().hex()[:8].ljust(8, "0")


def _date(seconds: float) -> str:
    instant = datetime.fromtimestamp(seconds, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SandboxTeraslice:
    """The master; what its controllers do depends only on the time since it started."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._began = now, now()

    def answer(self, request: Request) -> Response:
        """Answer one request; a master itself asks for no credentials."""
        path = posixpath.normpath(request.path).removeprefix(PREFIX)
        path = _VERSION.sub("", path) or "/"
        answers: dict[str, Callable[[], object]] = {
            "/": self._info,
            "/cluster/controllers": self._controllers,
            "/cluster/slicers": self._controllers,
            "/cluster/state": self._state,
            "/jobs": list,
            "/ex": lambda: self._page(request),
        }
        if request.method != "GET" or path not in answers:
            message = f"cannot {request.method} endpoint {request.path.removeprefix(PREFIX)}"
            return _json({"error": 405, "message": message}, 405)
        return _json(answers[path]())

    def _info(self) -> dict[str, str]:
        return {
            "arch": "x64",
            "clustering_type": "native",
            "name": "sandbox",
            "node_version": "v20.20.2",
            "platform": "linux",
            "teraslice_version": "v2.0.0",
        }

    def _executions(self) -> Iterator[_Execution]:
        began, age_s = self._began, self._now() - self._began
        yield _Execution("lives", 1, began, age_s)
        rounds, rest_s = divmod(age_s, 2 * _PAUSED_S)
        worked_s = rounds * _PAUSED_S + min(rest_s, _PAUSED_S)
        is_paused = rest_s >= _PAUSED_S
        yield _Execution("pauses", 1, began, worked_s, "paused" if is_paused else "running")
        failed = int(max(0.0, age_s - _FAILS_AFTER_S) * _SLICES_PER_S / 2)
        yield _Execution(
            'fails "half" its slices', 1, began, age_s, "failing" if failed else "running", failed
        )
        round_s = _SHOWN_S + _AWAY_S
        number, rest_s = divmod(age_s, round_s)
        if rest_s < _SHOWN_S:
            yield _Execution("vanishes", int(number) + 1, began + number * round_s, rest_s)

    def _controllers(self) -> list[dict[str, Any]]:
        rows = [each.controller() for each in self._executions()]
        return sorted(rows, key=lambda row: (row["name"], row["started"]), reverse=True)

    def _page(self, request: Request) -> list[dict[str, Any]]:
        wanted = request.args.get("status", "").split(",")
        found = [
            each.stored() for each in self._executions() if wanted == [""] or each.status in wanted
        ]
        begin, size = (request.args.get(name, d, int) for name, d in (("from", 0), ("size", 100)))
        return found[begin : begin + size]

    def _state(self) -> dict[str, Any]:
        active: list[dict[str, Any]] = [{"worker_id": 1, "assignment": "cluster_master", "pid": 7}]
        for each in self._executions():
            for assignment in ("execution_controller", "worker"):
                worker = {"worker_id": len(active) + 1, "assignment": assignment, "pid": 100}
                active.append(worker | each.ids)
        node = {
            "node_id": "sandbox",
            "hostname": "127.0.0.1",
            "pid": 7,
            "node_version": "v20.20.2",
            "teraslice_version": "2.0.0",
            "total": 16,
            "state": "connected",
            "available": 16 - len(active),
            "active": active,
        }
        return {"sandbox": node}


def _json(content: object, status: int = 200) -> Response:
    """Answer as Express does, with the indentation of Teraslice."""
    body = json.dumps(content, indent=4, ensure_ascii=False)
    return Response(body, status, content_type="application/json; charset=utf-8")
