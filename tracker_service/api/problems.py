"""Answer errors: RFC 9457 problem details that also carry `message` and `status_code`."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from flask import Flask, Response, json
from werkzeug.exceptions import HTTPException

from tracker_service.errors import (
    AccessDenied,
    BadInput,
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    InvalidStateTransition,
    LedgerJobNotFound,
    LogInUse,
    LogNotSaved,
    NoCause,
    NoSuchCheck,
    NoSuchLink,
    NoSuchSubscription,
    NoSuchToken,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotRunning,
    NotTracked,
    RequestRefused,
    RouteClosed,
    StoreUnavailable,
    TooManyRequests,
    TrackerError,
)

log = structlog.get_logger()

REALM = 'Basic realm="KNOX Credentials"'
RETRY_AFTER_S = 10

TOO_LONG = "The body is too long: send at most 1 MiB and 10,000 ids with one request."

_STATUS: dict[type[TrackerError], int] = {
    NotAuthenticated: 401,
    CredentialsRefused: 401,
    AccessDenied: 403,
    NotAllowed: 403,
    NotFound: 404,
    LogNotSaved: 404,
    NoCause: 404,
    LogInUse: 409,
    NotRunning: 409,
    RouteClosed: 501,
    NotTracked: 404,
    LedgerJobNotFound: 404,
    InvalidStateTransition: 409,
    NoSuchToken: 404,
    NoSuchCheck: 404,
    NoSuchLink: 404,
    NoSuchSubscription: 404,
    RequestRefused: 502,
    GatewayUnavailable: 503,
    StoreUnavailable: 503,
    GatewayError: 502,
}


def problem(status: int, message: str) -> Response:
    """Return the answer to a request that failed."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "message": message,
        "status_code": status,
    }
    response = Response(json.dumps(body) + "\n", status, content_type="application/problem+json")
    if status == 401:
        response.headers["WWW-Authenticate"] = REALM
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def register(app: Flask) -> None:
    """Answer each error of this service with the status that it means, for all handlers."""
    app.register_error_handler(TrackerError, _tracker_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _tracker_error(error: TrackerError) -> Response:
    if isinstance(error, BadInput):
        return problem(error.status, str(error))
    if isinstance(error, TooManyRequests):
        response = problem(429, str(error))
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _with_time(problem(_STATUS[kind], str(error)), error)
    return _unexpected(error)


def _with_time(response: Response, error: TrackerError) -> Response:
    if isinstance(error, GatewayUnavailable) and error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _http_error(error: HTTPException) -> Response:
    code = error.code or 500
    response = problem(code, _WHAT_TO_DO.get(code, error.description or HTTPStatus(code).phrase))
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response


_WHAT_TO_DO = {
    404: "There is nothing at this path: /docs shows those that there are.",
    405: "This path does not take this method; the header Allow names those that it takes.",
    413: TOO_LONG,
}


def _unexpected(error: Exception) -> Response:
    log.error("request_broke", exc_info=error)
    return problem(500, "Something unexpected went wrong here; the service's log has the details.")
