"""Check the gateway's tokens, if the settings use them in place of passwords."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

from tracker_service.doctor.results import CheckResult, fail, ok, warn
from tracker_service.errors import CredentialsRefused, RouteClosed, TrackerError
from tracker_service.settings import GatewaySettings
from tracker_service.sources.credentials import TokenCredential
from tracker_service.sources.gateway import Gateway, GatewaySession
from tracker_service.sources.tokens import TokenKeys, Tokens
from tracker_service.sources.webhdfs import WebHdfs

URL = "TRACKER_GATEWAY__TOKEN_URL"


def findings(
    settings: GatewaySettings, gateway: Gateway, session: GatewaySession
) -> Iterator[CheckResult]:
    """Yield the results about tokens.

    Args:
        session: of a user who is logged in.
    """
    try:
        token = Tokens(session).new()
    except RouteClosed:
        yield fail(
            "token",
            f"the topology at {session.url} gives no tokens; add the service KNOXTOKEN to it, or "
            "set TRACKER_GATEWAY__BACKGROUND=password",
        )
        return
    except TrackerError as error:
        yield fail("token", f"no token was given ({error}); is KNOXTOKEN of Knox well?")
        return
    yield ok("token", f"the gateway gives tokens for {_lasts(token)}")
    with closing(gateway.session(token)) as other:
        yield from _used(other)
    if settings.token_keys:
        yield _checked(token, settings)


def _used(session: GatewaySession) -> Iterator[CheckResult]:
    """Yield whether a topology takes tokens, and gives others for them."""
    try:
        WebHdfs(session).user()
    except CredentialsRefused:
        yield fail(
            "token-url",
            f"the topology at {session.url} does not take tokens; set {URL} to one with the "
            "provider JWTProvider",
        )
        return
    except TrackerError as error:
        yield fail(
            "token-url", f"the topology at {session.url} cannot be used ({error}); correct {URL}"
        )
        return
    yield ok("token-url", f"the topology at {session.url} takes tokens")
    try:
        Tokens(session).new()
    except TrackerError:
        yield warn(
            "token-renewal",
            "tokens cannot be renewed, so that jobs wait for `tracker login` when one has expired; "
            f"add the service KNOXTOKEN to the topology at {session.url}",
        )
    else:
        yield ok("token-renewal", "tokens are renewed while there is work")


def _checked(token: TokenCredential, settings: GatewaySettings) -> CheckResult:
    """Return whether the configured keys are those with which tokens are signed."""
    place = settings.token_keys or ""
    try:
        TokenKeys(place, settings.ca_file).checked(token.token)
    except TrackerError as error:
        return fail(
            "token-keys",
            f"{place} does not verify the gateway's tokens ({error}); correct "
            "TRACKER_GATEWAY__TOKEN_KEYS: the certificate of Knox's signing key, or its key set",
        )
    return ok("token-keys", f"{place} verifies the gateway's tokens")


def _lasts(token: TokenCredential) -> str:
    if token.expires_at is None:
        return "ever"
    return f"{(token.expires_at - datetime.now(UTC)).total_seconds() / 60:.0f} minutes"
