"""Build the parts that the API and the worker share: settings, database, identities, clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracker_service.bootstrap.identities import build_identities
from tracker_service.engine.clock import Clock
from tracker_service.identities import Identities
from tracker_service.metrics import Metrics
from tracker_service.redaction.secrets import Secrets
from tracker_service.settings import CopySettings, Settings
from tracker_service.store.database import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What the rooms of one process are built on."""

    settings: Settings
    metrics: Metrics
    store: Store
    identities: Identities
    secrets: Secrets | None  #: patterns of what is hidden in logs; None where nothing is
    clock: Clock


def build_foundation(
    settings: Settings,
    metrics: Metrics,
    store: Store,
    clock: Clock,
    *,
    on_circuit: Callable[[str, bool], None] = lambda *_: None,
) -> Foundation:
    """Build what the rooms of one process share.

    Args:
        on_circuit: is told of a service behind the gateway, and whether it is away, at each change.

    Raises:
        ConfigError: a setting cannot be used.
    """
    secrets = _build_secrets(settings.copying)
    return Foundation(
        settings=settings,
        metrics=metrics,
        store=store,
        identities=build_identities(
            settings, store, metrics, secrets, clock, on_circuit=on_circuit
        ),
        secrets=secrets,
        clock=clock,
    )


def _build_secrets(copying: CopySettings) -> Secrets | None:
    return Secrets(copying.redact_patterns) if copying.redact else None
