"""Choose the route to the cluster by the settings: through Knox, or directly with Kerberos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from requests.auth import AuthBase

from tracker_service.domain.copies import Strategy
from tracker_service.errors import ConfigError
from tracker_service.settings import CopySettings, GatewaySettings, Settings
from tracker_service.sources.direct import DirectRoute
from tracker_service.sources.gateway import ClusterRoute, Gateway, checked_gateway
from tracker_service.sources.protection import Protection

OnRequest = Callable[[str, str, float], None]


def cluster_route(
    settings: Settings,
    on_request: OnRequest = lambda *_: None,
    protection: Protection | None = None,
) -> ClusterRoute:
    """Return the route to the cluster.

    Args:
        on_request: called after each request with its path, its outcome and its seconds.
        protection: the limits that all sessions share; default: new ones.

    Raises:
        ConfigError: a setting is wrong or missing.
    """
    gateway, protection = settings.gateway, protection or Protection()
    if gateway.is_direct:
        _refuse_incomplete(settings)
        return checked_gateway(_direct(gateway, on_request, protection))
    return checked_gateway(
        Gateway(
            url=gateway.base,
            token_url=gateway.token_base,
            ca_file=gateway.ca_file,
            verify=gateway.verify,
            connect_timeout_s=gateway.connect_timeout_s,
            read_timeout_s=gateway.read_timeout_s,
            csrf_header=gateway.csrf_header,
            on_request=on_request,
            protection=protection,
        )
    )


def _direct(gateway: GatewaySettings, on_request: OnRequest, protection: Protection) -> DirectRoute:
    history = gateway.job_history_url
    principal, keytab = str(gateway.principal), Path(str(gateway.keytab))
    return DirectRoute(
        oozie=_bare(gateway.oozie_url),
        namenode=_bare(gateway.namenode_url),
        resource_manager=_bare(gateway.resource_manager_url),
        job_history=_bare(history) if history else None,
        principal=principal,
        keytab=keytab,
        login=_login(principal, keytab),
        ca_file=gateway.ca_file,
        verify=gateway.verify,
        connect_timeout_s=gateway.connect_timeout_s,
        read_timeout_s=gateway.read_timeout_s,
        csrf_header=gateway.csrf_header,
        on_request=on_request,
        protection=protection,
    )


def _login(principal: str, keytab: Path) -> Callable[[], AuthBase]:
    try:
        from tracker_service.sources.kerberos import keytab_login  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            f"gateway.auth: kerberos needs the extra of this name ({error}): install the headers "
            "of Kerberos and a C compiler (Debian: libkrb5-dev gcc), then "
            "`pip install 'tracker-service[kerberos]'`"
        ) from error
    return keytab_login(principal, keytab)


def _refuse_incomplete(settings: Settings) -> None:
    """Raise ConfigError if a setting is missing that only Knox makes unnecessary."""
    serve, copying, usual = settings.serve, settings.copying, CopySettings()
    if not (serve.user_header and serve.user_header_from) and not settings.gateway.token_keys:
        raise ConfigError(
            "gateway.auth: kerberos leaves nobody who checks passwords: set serve.user_header and "
            "serve.user_header_from, or gateway.token_keys"
        )
    is_usual = (
        copying.name_node == usual.name_node,
        copying.resource_manager == usual.resource_manager,
    )
    if any(is_usual) and copying.strategy != Strategy.DIRECT:
        raise ConfigError(
            "gateway.auth: kerberos leaves nobody who tells copy workflows where they run: set "
            "copying.name_node and copying.resource_manager, or copying.strategy: direct"
        )


def _bare(url: object) -> str:
    return str(url).rstrip("/")
