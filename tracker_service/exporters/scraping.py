"""Update the series of one master: ask it, read its answers, and change all values in one step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

import structlog

from tracker_service.errors import NoUsableAnswer
from tracker_service.exporters.health import Health
from tracker_service.exporters.masters import Master
from tracker_service.exporters.snapshot import (
    Mistakes,
    Reader,
    Row,
    Snapshot,
    controller_columns,
    execution_columns,
    images_of,
    info_of,
)
from tracker_service.sources.timed_request import Limits, TimedAnswer, Watch, timed_get

log = structlog.get_logger()

_LONGEST_BODY = 256 * 1024**2  #: bytes
_PAGE = 1000  #: executions in one request
_PAGES = 10  #: Elasticsearch, where Teraslice keeps them, gives the first 10,000 at most
_LIVING = "recovering,running,failing,paused,stopping"  #: what a listed controller may be


@dataclass(frozen=True, slots=True)
class Update:
    """What an update has found."""

    health: Health
    snapshot: Snapshot | None  #: None: it failed, and the last values stay


class Scraper:
    """Asks masters; an update of one asks its queries one after the other."""

    def __init__(
        self, clock: Callable[[], datetime], headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Prepare to ask.

        Args:
            headers: go with each request, beside those of the master's files.
        """
        self._clock, self._headers = clock, headers

    def update(self, master: Master, before: Health) -> Update:
        """Ask a master for everything.

        Args:
            before: how its last update has gone.
        """
        began = time.monotonic()
        health = deepcopy(before)
        visit = _Visit(master, self._headers, health, began + master.interval_s)
        snapshot = self._ask(visit)
        health.is_up = snapshot is not None
        if snapshot:
            health.last_success = self._clock().timestamp()
            health.name = snapshot.info["name"]
        if health.is_up and not before.is_up:
            log.info("teraslice_master_up", master=master.name or master.display_url)
        health.errors.update(visit.mistakes)
        health.took(time.monotonic() - began)
        return Update(health, snapshot)

    def _ask(self, visit: _Visit) -> Snapshot | None:
        try:
            return visit.snapshot()
        except NoUsableAnswer as error:
            visit.health.errors[error.kind, visit.query] += 1
            log.warning(
                "teraslice_update_failed",
                master=visit.master.name or visit.master.display_url,
                query=visit.query,
                error=error.kind,
                reason=str(error),
            )
            return None


@dataclass(slots=True)
class _Visit:
    """One update of one master."""

    master: Master
    extra: Mapping[str, str]  #: headers
    health: Health
    deadline: float  #: when the next update is due, by the monotonic clock
    mistakes: Mistakes = field(default_factory=Mistakes)
    query: str = ""  #: that is asked now

    def snapshot(self) -> Snapshot:
        """Ask everything.

        Raises:
            NoUsableAnswer: a query failed, and so the whole update.
        """
        answer = self._json("controllers", "/v1/cluster/controllers")
        rows = self._reader().rows(answer)
        columns = controller_columns(rows, self._reader())
        info = info_of(self._json("info", "/"))
        self._body("jobs", "/v1/jobs?size=200")  # only its time is shown
        images = images_of(self._json("state", "/v1/cluster/state"), self._reader())
        columns["image"] = [images.get(ex_id) for ex_id in rows]
        executions = self._executions(set(rows))
        columns |= execution_columns(rows, executions, self._reader())
        return Snapshot(info, columns)

    def _executions(self, wanted: set[str]) -> dict[str, Row]:
        """Return the stored executions; pages are asked for until each wanted one was seen."""
        found = dict[str, Row]()
        for page in range(_PAGES):
            path = f"/v1/ex?status={_LIVING}&size={_PAGE}&from={page * _PAGE}"
            rows = self._json("executions", path, is_more=page > 0)
            found |= self._reader().rows(rows)
            if wanted <= found.keys() or len(rows) < _PAGE:  # type: ignore[arg-type]
                break
        return found

    def _reader(self) -> Reader:
        return Reader(self.query, self.mistakes)

    def _json(self, query: str, path: str, *, is_more: bool = False) -> object:
        body = self._body(query, path, is_more=is_more)
        try:
            return json.loads(body, parse_constant=lambda _: None)
        except (ValueError, RecursionError) as error:
            start = body[:60].decode("utf-8", "replace")
            message = f"the answer to {query} is no JSON: {start!r}"
            raise NoUsableAnswer(message, kind="not_json") from error

    def _body(self, query: str, path: str, *, is_more: bool = False) -> bytes:
        """Ask one query, and note how long it took, also if it fails."""
        self.query = query
        headers = {"Accept": "application/json", **self.master.headers(), **self.extra}
        left_s = max(0.001, self.deadline - time.monotonic())
        limits = Limits(seconds=min(self.master.timeout_s, left_s), body_bytes=_LONGEST_BODY)
        watch = Watch()
        try:
            answer = timed_get(
                self.master.url + path,
                watch,
                limits,
                headers=headers,
                authority=self.master.authority,
            )
        finally:
            self._note_phases(watch, is_more=is_more)
        _check_status(answer)
        return answer.body

    def _note_phases(self, watch: Watch, *, is_more: bool) -> None:
        earlier = self.health.phases.get(self.query, {}) if is_more else {}
        self.health.phases[self.query] = {
            phase.value: seconds + earlier.get(phase.value, 0.0)
            for phase, seconds in watch.phases.items()
        }


def _check_status(answer: TimedAnswer) -> None:
    """Refuse every answer but one with 200.

    Raises:
        NoUsableAnswer: says what to do.
    """
    status = answer.status
    if status == 200:
        return
    if status in (301, 302, 303, 307, 308):
        message = f"it redirects to {answer.location}: set the URL to where the master is"
        raise NoUsableAnswer(message, kind="redirect")
    if status in (401, 403, 407):
        message = f"answered with {status}: set the credentials or the header of its proxy"
        raise NoUsableAnswer(message, kind="unauthorized")
    words = answer.body[:200].decode("utf-8", "replace")
    raise NoUsableAnswer(f"answered with {status}: {words}", kind="status")
