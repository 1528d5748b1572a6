"""Show the jobs that report themselves: the status page, and `/api/ledger/jobs`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from urllib.parse import urlencode

from flask import Blueprint, Response, g, jsonify, request, stream_with_context
from flask_openapi3 import APIBlueprint

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller
from tracker_service.api.origins import is_from_elsewhere
from tracker_service.api.read_limits import ReadLimits
from tracker_service.api.schemas.ledger import (
    LedgerJobAnswer,
    LedgerJobAnswers,
    LedgerJobPath,
    LedgerJobsQuery,
    LedgerQuery,
    WholeLedgerJobAnswer,
)
from tracker_service.domain.ledger import StoredJob
from tracker_service.errors import LedgerJobNotFound, NotAllowed, NotAuthenticated, NotFound
from tracker_service.ledger.calls import OpenLedger
from tracker_service.ledger.ledger import Ledger
from tracker_service.ledger.page import POLICY, page
from tracker_service.ledger.writers import Writers
from tracker_service.store import ledger_jobs
from tracker_service.store.database import Connection, Store


def require_writer(writers: Writers, admins: Collection[str]) -> None:
    """Check that the caller is a writer or an admin.

    Raises:
        NotAllowed: a user of the gateway who is no admin.
    """
    if not _is_writer(writers) and current_caller().name not in admins:
        raise NotAllowed("Only writers and admins change jobs of a ledger: ledger.writers")


def reader_credentials(writers: Writers, gateway: Credentials) -> Credentials:
    """Return the credentials of readers: those of writers, or those of the gateway's users."""

    def require() -> None:
        if not _is_writer(writers):
            gateway.require()

    return Credentials(gateway.name, gateway.scheme, require)


def _is_writer(writers: Writers) -> bool:
    # A page of another site must not use that a browser runs near the service.
    if is_from_elsewhere(request.environ):
        return False
    try:
        writers.writer(request.remote_addr or "", request.headers.get("Authorization"))
    except NotAuthenticated:
        return False
    return True


def blueprints(
    ledgers: Mapping[str, OpenLedger],
    store: Store,
    credentials: Credentials,
    require_writer: Callable[[], object],
    *,
    limits: ReadLimits,
) -> Iterable[APIBlueprint | Blueprint]:
    """Return the pages of the ledgers and the calls about their jobs.

    Args:
        require_writer: refuses callers who may only read.
        limits: how many pages are sent at once.
    """
    data = _data(ledgers, store, credentials, require_writer)
    return data, _pages(ledgers, store, credentials, limits)


def _data(
    ledgers: Mapping[str, OpenLedger],
    store: Store,
    credentials: Credentials,
    require_writer: Callable[[], object],
) -> APIBlueprint:
    bp = openapi.blueprint("ledger", "Jobs that report themselves.", "/api/ledger", credentials)

    @bp.get("/jobs", responses=openapi.answers({200: LedgerJobAnswers}, 404))
    def jobs(query: LedgerJobsQuery) -> Response:
        """List the jobs of a ledger, those first that were started first."""
        ledger = _named(ledgers, query.ledger)
        with store.read() as connection:
            last = _found(connection, ledger, query.after) if query.after else None
            rows = ledger_jobs.listed(connection, ledger.name, query.state, last)
            found = [job for job, _ in zip(rows, range(query.limit + 1), strict=False)]
        listed = found[: query.limit]
        answer = jsonify([LedgerJobAnswer.of(job).model_dump(mode="json") for job in listed])
        if len(found) > len(listed):
            given = [(n, v) for n, v in request.args.items(multi=True) if n != "after"]
            following = f"{request.base_url}?{urlencode([*given, ('after', listed[-1].key)])}"
            answer.headers["Link"] = f'<{following}>; rel="next"'
        return answer

    @bp.get("/jobs/<path:job>", responses=openapi.answers({200: WholeLedgerJobAnswer}, 404))
    def job(path: LedgerJobPath, query: LedgerQuery) -> Response:
        """Show a job with its whole history."""
        return _shown(store, _named(ledgers, query.ledger), path.job)

    @bp.post(
        "/jobs/<path:job>/retry", responses=openapi.answers({200: WholeLedgerJobAnswer}, 404, 409)
    )
    def retry(path: LedgerJobPath, query: LedgerQuery) -> Response:
        """Put a job that has failed back into the state in which it failed."""
        require_writer()
        ledger = _named(ledgers, query.ledger)
        ledger.retry(path.job)
        return _shown(store, ledger, path.job)

    return bp


def _pages(
    ledgers: Mapping[str, OpenLedger], store: Store, credentials: Credentials, limits: ReadLimits
) -> Blueprint:
    bp = Blueprint("ledger-pages", __name__)
    bp.before_request(credentials.require)

    @bp.get("/")
    @bp.get("/status")
    @bp.get("/v2/<path:rest>")
    @bp.get("/ledger/<name>/")
    @bp.get("/ledger/<name>/status")
    def show(name: str = "default", rest: str = "") -> Response:
        ledger = _named(ledgers, name)

        def pieces() -> Iterator[str]:
            with store.read() as connection:
                yield from page(ledger_jobs.lines(connection, ledger.name))

        def shown() -> Response:
            kind = "text/html; charset=utf-8"
            answer = Response(stream_with_context(pieces()), content_type=kind)
            answer.headers["Content-Security-Policy"] = POLICY
            return answer

        # Writers are counted by their address: they have no name.
        return limits.sent(getattr(g.get("caller"), "name", request.remote_addr or ""), shown)

    return bp


def _named(ledgers: Mapping[str, OpenLedger], name: str) -> Ledger:
    if name not in ledgers:
        raise NotFound(f"there is no ledger {name}; there are {', '.join(ledgers)}")
    return ledgers[name].ledger


def _shown(store: Store, ledger: Ledger, key: str) -> Response:
    with store.read() as connection:
        stored = _found(connection, ledger, key)
        rows = ledger_jobs.history(connection, stored.id)
    return jsonify(WholeLedgerJobAnswer.with_history(stored, rows).model_dump(mode="json"))


def _found(connection: Connection, ledger: Ledger, key: str) -> StoredJob:
    stored = ledger_jobs.find(connection, ledger.name, key)
    if stored is None:
        raise LedgerJobNotFound(f"the ledger {ledger.name} has no job {key}")
    return stored
