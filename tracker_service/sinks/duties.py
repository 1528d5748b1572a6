"""Give the engine what a worker does to deliver events: one kind of tasks, and duties."""

from __future__ import annotations

from tracker_service.engine.duties import Duty
from tracker_service.sinks.deliverer import Deliverer
from tracker_service.sinks.pruning import Pruning
from tracker_service.sinks.routes import Routes

_DELIVER_S = 0.1
_SET_ROUTES_S = 1.0
_PRUNE_S = 10.0
_TIDY_S = 3600.0


def duties(deliverer: Deliverer, routes: Routes, pruning: Pruning) -> list[Duty]:
    """Return the duties of the sinks, which every worker runs."""
    return [
        Duty(name="set_routes", every_s=_SET_ROUTES_S, run=lambda _: routes.set_once()),
        Duty(name="deliver", every_s=_DELIVER_S, run=lambda _: deliverer.deliver()),
        Duty(name="prune_events", every_s=_PRUNE_S, run=lambda _: pruning.step()),
        Duty(name="tidy_subscriptions", every_s=_TIDY_S, run=lambda _: pruning.tidy()),
    ]
