"""Answer the four calls of Gardener's job API, many of them in one transaction.

`docs/ledger.md` has the answers. They are those of the original to the byte, because its client
reads nothing but the status, and the body of `next`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from tracker_service.domain.ledger import PARSE_ERROR, LedgerJob, Scope
from tracker_service.errors import (
    BadInput,
    InvalidStateTransition,
    JobAlreadyExists,
    LedgerError,
    LedgerJobNotFound,
    NotAuthenticated,
    OutOfScope,
    StoreUnavailable,
    TrackerError,
)
from tracker_service.ledger import go_json
from tracker_service.ledger.forms import form_of
from tracker_service.ledger.ledger import Ledger
from tracker_service.ledger.next_jobs import Given, NextJobs
from tracker_service.ledger.writers import Writers
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Store
from tracker_service.store.grouped import GroupedWrites
from tracker_service.store.ledger_jobs import Change

log = structlog.get_logger()

PATH = "/v2/job/"
NAMES = ("next", "update", "heartbeat", "error")
MAX_BODY_BYTES = 1024 * 1024
_ORIGINAL_LIMIT = 10 * 1024 * 1024  #: what Go reads of a form at most
_TEXT = "text/plain; charset=utf-8"
_EXISTS, _NO_JOB = b"Job already exists. Try again.", b"No job found. Try again."


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a writer."""

    name: str  #: `next`, `update`, `heartbeat` or `error`
    method: str
    query: str
    client: str  #: its address
    content_type: str | None = None
    authorization: str | None = None
    body: bytes = b""
    length: int = 0  #: of the body, which is not read if it is too long
    ledger: str | None = None  #: that the path names


@dataclass(frozen=True, slots=True)
class Answer:
    """What a writer gets."""

    status: int
    body: bytes = b""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Return the headers that the answer has, apart from those that the server adds."""
        headers = [("Content-Length", str(len(self.body)))]
        if self.body:
            headers.insert(0, ("Content-Type", _TEXT))
        if self.status == 401:
            headers.append(("WWW-Authenticate", 'Basic realm="ledger"'))
        if self.status == 503:
            headers.append(("Retry-After", "1"))
        return headers


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """A ledger and what gives out its jobs."""

    ledger: Ledger
    next_jobs: NextJobs | None  #: None: it has no sources


@dataclass(frozen=True, slots=True)
class _Beat:
    ledger: Ledger
    key: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class _Next:
    opened: OpenLedger
    scope: Scope


_Wish = Answer | _Beat | _Next | Change


class JobCalls:
    """Answers calls."""

    def __init__(
        self, store: Store, ledgers: Mapping[str, OpenLedger], default: str, writers: Writers
    ) -> None:
        self._store, self._ledgers, self._default = store, ledgers, default
        self._writers, self._writes = writers, GroupedWrites(store)

    def is_quick(self, name: str) -> bool:
        """Tell whether nothing but the database is asked for an answer."""
        return name != "next" or all(
            opened.next_jobs is None or opened.next_jobs.is_quick
            for opened in self._ledgers.values()
        )

    def answer(self, call: Call) -> Answer:
        """Answer one call; updates of several threads are committed together."""
        wish = self._wish(call)
        if isinstance(wish, Change):
            return self._changed(
                [wish],
                lambda changes: self._writes.write(
                    lambda connection: ledger_jobs.change_all(connection, changes)
                ),
            )[0]
        return self._answers([wish])[0]

    def answer_all(self, calls: Sequence[Call]) -> list[Answer]:
        """Answer several calls: all of their updates are one transaction."""
        return self._answers([self._wish(call) for call in calls])

    def _answers(self, wishes: Sequence[_Wish]) -> list[Answer]:
        answers: dict[int, Answer] = {
            n: wish for n, wish in enumerate(wishes) if isinstance(wish, Answer)
        }
        kinds: tuple[tuple[type, Callable[..., list[Answer]]], ...] = (
            (_Beat, self._beaten),
            (Change, self._changed_at_once),
            (_Next, self._given),
        )
        for kind, carry_out in kinds:
            numbers = [n for n, wish in enumerate(wishes) if isinstance(wish, kind)]
            if numbers:
                found = carry_out([wishes[n] for n in numbers])
                answers |= dict(zip(numbers, found, strict=True))
        return [answers[n] for n in range(len(wishes))]

    def _wish(self, call: Call) -> _Wish:
        """Return what a caller wants, or the refusal; they are checked in the original's order."""
        if call.method != "POST":
            return Answer(405)
        try:
            opened, scope = self._opened(call)
            if call.name == "next":
                return _Next(opened, scope)
            if call.length > MAX_BODY_BYTES:
                return Answer(400 if call.length > _ORIGINAL_LIMIT else 413)
            form = form_of(call.query, call.content_type, call.body)
            return _report(call.name, form, opened.ledger, scope)
        except (NotAuthenticated, OutOfScope, BadInput) as refused:
            return _plain(refused)

    def _opened(self, call: Call) -> tuple[OpenLedger, Scope]:
        """Return the ledger that a caller means, and what the caller may do there.

        Raises:
            NotAuthenticated: the caller is no writer.
            OutOfScope: there is no such ledger, or the key is for another one.
        """
        writer = self._writers.writer(call.client, call.authorization)
        opened = self._ledgers.get(call.ledger or writer.ledger or self._default)
        if opened is None or (writer.ledger and opened.ledger.name != writer.ledger):
            raise OutOfScope
        return opened, writer.scope

    def _beaten(self, beats: Sequence[_Beat]) -> list[Answer]:
        found: dict[int, Answer] = {}
        for ledger in {beat.ledger.name: beat.ledger for beat in beats}.values():
            numbers = [n for n, beat in enumerate(beats) if beat.ledger is ledger]
            asked = [(beats[n].key, beats[n].scope) for n in numbers]
            outcomes = _tried(lambda: ledger.beat_all(asked), len(asked))  # noqa: B023
            found |= {n: _plain(o) for n, o in zip(numbers, outcomes, strict=True)}
        return [found[n] for n in range(len(beats))]

    def _changed_at_once(self, changes: Sequence[Change]) -> list[Answer]:
        return self._changed(
            changes,
            lambda together: self._store.write(
                lambda connection: ledger_jobs.change_all(connection, together)
            ),
        )

    def _changed(
        self,
        changes: Sequence[Change],
        write: Callable[[Sequence[Change]], Sequence[ledger_jobs.Changed | LedgerError]],
    ) -> list[Answer]:
        outcomes = _tried(lambda: write(changes), len(changes))
        if len(changes) > 1 and isinstance(outcomes[0], _Broken):
            # One of them has broken the transaction: carry out each alone.
            return [self._changed([change], write)[0] for change in changes]
        for change, outcome in zip(changes, outcomes, strict=True):
            if isinstance(outcome, ledger_jobs.Changed | LedgerError):
                self._ledgers[change.ledger].ledger.count([outcome])
        return [_plain(outcome) for outcome in outcomes]

    def _given(self, wishes: Sequence[_Next]) -> list[Answer]:
        found: dict[int, Answer] = {}
        for opened in {wish.opened.ledger.name: wish.opened for wish in wishes}.values():
            numbers = [n for n, wish in enumerate(wishes) if wish.opened is opened]
            scopes = [wishes[n].scope for n in numbers]
            outcomes: Iterable[object] = [None] * len(scopes)
            if next_jobs := opened.next_jobs:
                outcomes = _tried(lambda: next_jobs.take(scopes), len(scopes))  # noqa: B023
            found |= {n: _next_answer(o) for n, o in zip(numbers, outcomes, strict=True)}
        return [found[n] for n in range(len(wishes))]


def _report(name: str, form: Mapping[str, str], ledger: Ledger, scope: Scope) -> _Wish:
    key = form.get("id", "")
    if not key:
        return Answer(422)
    if name == "heartbeat":
        return _Beat(ledger, key, scope)
    if name == "error":
        message = form.get("error", "")
        return ledger.status_change(key, PARSE_ERROR, message, scope) if message else Answer(424)
    state = form.get("state", "")
    if not state:
        return Answer(424)
    return ledger.status_change(key, state, form.get("detail", ""), scope)


@dataclass(frozen=True, slots=True)
class _Broken:
    """Something unexpected has gone wrong."""


def _tried(carry_out: Callable[[], Sequence[object]], number: int) -> Sequence[object]:
    """Return the outcomes; if none can be had, why, as many times."""
    try:
        return carry_out()
    except StoreUnavailable as error:
        log.warning("ledger_unavailable", reason=str(error))
        return [error] * number
    except Exception:
        log.exception("ledger_call_broke")
        return [_Broken()] * number


_STATUS: dict[type[TrackerError], int] = {
    BadInput: 400,
    NotAuthenticated: 401,
    LedgerJobNotFound: 410,
    OutOfScope: 403,
    InvalidStateTransition: 409,
    StoreUnavailable: 503,
}


def _plain(outcome: object) -> Answer:
    """Return the answer to a report."""
    if isinstance(outcome, _Broken):
        return Answer(500)
    if isinstance(outcome, TrackerError):
        status = next((s for kind, s in _STATUS.items() if isinstance(outcome, kind)), 500)
        return Answer(status, f"{outcome}\n".encode() if status == 409 else b"")
    return Answer(200)


def _next_answer(outcome: Given | object) -> Answer:
    if isinstance(outcome, LedgerJob):
        log.info("job_given_out", job=outcome.key)
        return Answer(200, go_json.job_with_target(outcome))
    if isinstance(outcome, JobAlreadyExists):
        return Answer(500, _EXISTS)
    if isinstance(outcome, LedgerJobNotFound):
        return Answer(500, _NO_JOB)
    return Answer(500) if outcome is None else _plain(outcome)
