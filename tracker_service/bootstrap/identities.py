"""Build the parts that verify callers, and the ones that ask the cluster in their name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog
import urllib3

from tracker_service.domain.users import UserNames
from tracker_service.identities import (
    ActingService,
    Callers,
    Identities,
    KeptCredentials,
    ServiceIdentity,
)
from tracker_service.identities.keys import KeyRing
from tracker_service.metrics import Metrics
from tracker_service.redaction.masking import hidden
from tracker_service.redaction.secrets import Secrets
from tracker_service.settings import GatewaySettings, Settings
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import BasicCredential, Credential
from tracker_service.sources.gateway import AccessPool
from tracker_service.sources.protection import Protection
from tracker_service.sources.route import cluster_route
from tracker_service.sources.tokens import TokenKeys
from tracker_service.store.database import Store

log = structlog.get_logger()


def build_identities(
    settings: Settings,
    store: Store,
    metrics: Metrics,
    secrets: Secrets | None,
    clock: Callable[[], datetime],
    *,
    on_circuit: Callable[[str, bool], None],
) -> Identities:
    """Build the identities; log a warning where the way to the gateway is not protected.

    Args:
        on_circuit: is told of a service behind the gateway, and whether it is away, at each change.

    Raises:
        ConfigError: a setting cannot be used.
    """
    gateway = settings.gateway
    _warn_of_insecure_gateway(gateway)

    def changed(service: str, is_open: bool) -> None:
        metrics.gateway_circuit(service, is_open)
        on_circuit(service, is_open)

    pool = _build_pool(settings, metrics, secrets, changed)
    key_ring = KeyRing(settings.key_file)
    callers = Callers(
        store,
        key_ring,
        pool,
        clock,
        exchanges=gateway.background == "token",
        keys=_token_keys(gateway),
        names=UserNames(gateway.user_pattern, gateway.user_realms),
        is_on_behalf=gateway.is_direct,
    )
    kept = (
        ActingService(pool) if gateway.is_direct else KeptCredentials(store, key_ring, pool, clock)
    )
    polling = _polling_credential(gateway)
    service = ServiceIdentity(pool, polling, clock) if polling else None
    return Identities(callers, kept, pool, gateway.base, service)


def _token_keys(gateway: GatewaySettings) -> TokenKeys | None:
    if not gateway.token_keys:
        return None
    return TokenKeys(
        gateway.token_keys,
        gateway.ca_file,
        issuer=gateway.token_issuer,
        audience=gateway.token_audience,
    )


def _warn_of_insecure_gateway(gateway: GatewaySettings) -> None:
    if gateway.is_plain_http_over_a_network:
        log.warning("gateway_without_tls", url=gateway.base, risk="passwords can be read")
    if not gateway.verify:
        log.warning(
            "gateway_not_verified",
            url=gateway.base,
            risk="anybody in between reads passwords and logs",
        )
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def _build_pool(
    settings: Settings,
    metrics: Metrics,
    secrets: Secrets | None,
    on_circuit: Callable[[str, bool], None],
) -> AccessPool[ClusterAccess]:
    route = cluster_route(
        settings,
        metrics.gateway_request,
        Protection(settings.gateway.max_concurrent, on_circuit),
    )
    hide = partial(hidden, secrets) if secrets else str

    def open_access(credential: Credential) -> ClusterAccess:
        return ClusterAccess(route, credential, settings.polling.ids_per_request, hide)

    return AccessPool(open_access)


def _polling_credential(gateway: GatewaySettings) -> BasicCredential | None:
    if gateway.polling_user is None or gateway.polling_password_file is None:
        return None
    password = gateway.polling_password_file.read_text().rstrip("\r\n")
    return BasicCredential(gateway.polling_user, password)
