"""Verify callers: Basic or Bearer credentials of the gateway, or a trusted proxy's header."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from flask import Request, g, request

from tracker_service.api.origins import is_of_another_site
from tracker_service.api.proxies import NAMED
from tracker_service.api.rate_limit import RateLimit
from tracker_service.audit import AuditedAction, audited
from tracker_service.domain.subscriptions import SITE_OWNER
from tracker_service.domain.users import folded
from tracker_service.errors import (
    BadInput,
    CredentialsRefused,
    NotAllowed,
    NotAuthenticated,
    TooManyRequests,
)
from tracker_service.identities import Caller, Identities
from tracker_service.sources.credentials import BasicCredential, TokenCredential
from tracker_service.sources.tokens import expiry_of, user_of

_SHOWN_CHARS = 64  #: of a name that anybody may have written


@dataclass(frozen=True, slots=True)
class Credentials:
    """One kind of credentials. A blueprint is built with the kind that its calls need."""

    name: str  #: of the security scheme in the OpenAPI document
    scheme: Mapping[str, str]  #: https://spec.openapis.org/oas/v3.1.0#security-scheme-object
    require: Callable[[], None]  #: runs before each call; raises NotAuthenticated


def gateway_credentials(identities: Identities, limit: RateLimit) -> Credentials:
    """Return the credentials of the gateway's users: a password, a token or a proxy's header."""
    return Credentials(
        "gateway", {"type": "http", "scheme": "basic"}, partial(_require_caller, identities, limit)
    )


def _require_caller(identities: Identities, limit: RateLimit) -> None:
    """Verify the caller at the gateway, and refuse requests from pages of other sites.

    Raises:
        NotAuthenticated: no or wrong credentials.
        TooManyRequests: the user asks too often, or sent wrong credentials too often.
        GatewayUnavailable: the gateway does not answer.
        BadInput: a page of another site sends this from a browser (403).
    """
    if is_of_another_site(request):
        raise BadInput("Requests from pages of other sites are refused.", status=403)
    named = request.environ.get(NAMED)
    peer = request.remote_addr or ""
    if named:
        g.caller = identities.named(named)
    else:
        credential = _credential(request)
        try:
            g.caller = identities.verify(credential, peer)
        except (NotAuthenticated, TooManyRequests):
            with audited(AuditedAction.LOG_IN, credential.user[:_SHOWN_CHARS], client=peer):
                raise
    limit.spend(folded(g.caller.name))


def current_caller() -> Caller:
    """Return the verified user of this request."""
    return cast(Caller, g.caller)


def visible_owner(admins: Collection[str]) -> str | None:
    """Return the user whose failures the caller may see, or None if the caller may see all."""
    name = current_caller().name
    return None if name in admins else name


def owner_of_call(*, is_of_site: bool, allowed: Collection[str]) -> str:
    """Return the owner of what a call is about: the caller, or the site.

    Raises:
        NotAllowed: it is about the site, and the caller is not one of those who are allowed to.
    """
    caller = current_caller().name
    if is_of_site and caller not in allowed:
        raise NotAllowed
    return SITE_OWNER if is_of_site else caller


def _credential(sent: Request) -> BasicCredential | TokenCredential:
    given = sent.authorization
    if given and given.type == "basic" and given.username and given.password:
        return BasicCredential(given.username, given.password)
    if given and given.type == "bearer" and given.token:
        try:
            return TokenCredential(user_of(given.token), given.token, expiry_of(given.token))
        except CredentialsRefused as error:
            raise NotAuthenticated(str(error)) from error
    raise NotAuthenticated
