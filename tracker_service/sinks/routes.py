"""Make the site's subscriptions those of the settings, once for each start of a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from tracker_service.domain.subscriptions import Selection
from tracker_service.settings.sinks import RouteSettings, SinkSettings
from tracker_service.store import subscriptions
from tracker_service.store.database import Store


class Routes:
    """The routes of the settings, each of which is a subscription of the site."""

    def __init__(
        self,
        store: Store,
        routes: Sequence[RouteSettings],
        sinks: Mapping[str, SinkSettings],
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._clock = store, clock
        self._wanted = _named(routes, sinks)
        self._are_set = False

    def set_once(self) -> None:
        """Add what is new in the settings, and remove what is no longer there."""
        if not self._are_set:
            change = partial(subscriptions.set_routes, routes=self._wanted, now=self._clock())
            self._store.write(change)
            self._are_set = True


def _named(
    routes: Sequence[RouteSettings], sinks: Mapping[str, SinkSettings]
) -> dict[str, tuple[Mapping[str, Any], Selection]]:
    """Return sinks and selections by names, which stay the same while the routes do."""
    named: dict[str, tuple[Mapping[str, Any], Selection]] = {}
    for route in routes:
        number = sum(name.partition("#")[0] == route.sink for name in named)
        name = f"{route.sink}#{number + 1}" if number else route.sink
        named[name] = ({"name": route.sink, "type": sinks[route.sink].type}, route.selection)
    return named
