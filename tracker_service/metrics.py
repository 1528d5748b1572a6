"""Count events of this process, and add up the counts of all processes for Prometheus.

Processes that share the directory `PROMETHEUS_MULTIPROC_DIR` write their counts there, see
https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
    values,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from structlog import get_logger

log = get_logger()

_FILE_BYTES = 64 * 1024  #: of a new file of counts; it grows by doubling
_ENTRY_BYTES = 64  #: of a count in a file, at most, without its key
_TRIED_AGAIN_S = 10.0  #: after the disk had no room for a count
_SHARED_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)
_ROUTES = ("oozie", "webhdfs", "resourcemanager", "jobhistory")


def are_shared() -> bool:
    """Tell whether this process shares its counts with others."""
    return _SHARED_DIRECTORY in os.environ


def share(directory: Path) -> None:
    """Share the counts of this process and its children; call it before anything is counted.

    Args:
        directory: its contents are removed, so that counts start at zero with the service. Where
            it cannot be made, nothing is shared.
    """
    shutil.rmtree(directory, ignore_errors=True)
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        log.warning("metrics_not_shared", reason=str(error))
        return
    os.environ[_SHARED_DIRECTORY] = str(directory)
    # The module has chosen both classes when it was imported.
    values.MmapedDict = _ReservedFile  # type: ignore[attr-defined]
    values.ValueClass = partial(_SparedValue, values.get_value_class())  # type: ignore[no-untyped-call]


class _ReservedFile(MmapedDict):
    """A file of counts that has its room on the disk before it is mapped into memory.

    A process that touches a mapped page for which the disk has no room is killed by SIGBUS.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            _reserve(filename)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        needed = self._used + len(key.encode()) + _ENTRY_BYTES
        length = self._capacity
        while length < needed:
            length *= 2
        if length > self._capacity:
            os.posix_fallocate(self._f.fileno(), 0, length)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _reserve(filename: str) -> None:
    """Make a file of counts, with its room on the disk; leave none behind if there is no room."""
    with Path(filename).open("ab") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)
        except OSError:
            Path(filename).unlink()
            raise


class _SparedValue:
    """A count in a shared file; while the disk has no room for it, nothing is counted."""

    def __init__(self, shared: Callable[..., Any], *facts: Any, **more: Any) -> None:  # noqa: ANN401
        self._open = partial(shared, *facts, **more)
        self._file_value: Any = None
        self._next_try = 0.0
        self._opened()

    def _opened(self) -> Any:  # noqa: ANN401 (the package's class has no type)
        if self._file_value is None and time.monotonic() >= self._next_try:
            try:
                self._file_value = self._open()
            except OSError as error:
                self._next_try = time.monotonic() + _TRIED_AGAIN_S
                log.warning("metrics_not_counted", reason=str(error))
        return self._file_value

    def inc(self, amount: float) -> None:
        """Add to the count."""
        if value := self._opened():
            value.inc(amount)

    def set(self, height: float, timestamp: float | None = None) -> None:
        """Set the level of a gauge."""
        if value := self._opened():
            value.set(height, timestamp)

    def get(self) -> float:
        """Return the count of this process."""
        value = self._opened()
        return float(value.get()) if value else 0.0

    def set_exemplar(self, exemplar: object) -> None:
        """Do nothing: files have no exemplars."""

    def get_exemplar(self) -> None:
        """Return None: files have no exemplars."""


@dataclass(frozen=True, slots=True)
class GaugeReading:
    """The present value of a gauge, for each value of its label."""

    name: str
    meaning: str
    label: str | None  #: None for a gauge without labels
    values: Mapping[str, float]  #: by the label's value


class Metrics:
    """The counts of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._gateway = Histogram(
            "tracker_gateway_request_duration_seconds",
            "Seconds until the gateway answered, by the service behind it and what came of it.",
            ["route", "outcome"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._http = Histogram(
            "tracker_http_request_duration_seconds",
            "Seconds until a request to the API was answered.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._lease_losses = Counter(
            "tracker_lease_losses",
            "Writes that were refused because another worker had taken over.",
            registry=self._registry,
        )

        self._deliveries = Counter(
            "tracker_deliveries",
            "Tries to deliver an event, by the type of the sink and what came of it.",
            ["sink", "outcome"],
            registry=self._registry,
        )

        self._checks = Counter(
            "tracker_checks",
            "Runs of checks, by what came of them.",
            ["outcome"],
            registry=self._registry,
        )
        self._check_files = Counter(
            "tracker_check_files_refused",
            "Readings of a file of checks that could not be used.",
            ["file"],
            registry=self._registry,
        )

        self._circuits = Gauge(
            "tracker_gateway_circuit_open",
            "1 from several requests of a process without an answer until the next with one.",
            ["route"],
            multiprocess_mode="livemax",
            registry=self._registry,
        )
        for route in ("gateway", *_ROUTES):
            self.gateway_circuit(route, is_open=False)

    def gateway_circuit(self, route: str, is_open: bool) -> None:
        """Note whether the circuit of a service behind the gateway, or of the gateway, is open."""
        self._circuits.labels(_known(route)).set(is_open)

    def gateway_request(self, path: str, outcome: str, seconds: float) -> None:
        """Count a request to the gateway.

        Args:
            path: below the topology; its first part is the route.
        """
        route = path.split("/", 1)[0]
        self._gateway.labels(_known(route), outcome).observe(seconds)

    def http_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request to the API.

        Args:
            route: the URL rule that matched; ids never become labels.
        """
        self._http.labels(method, route, str(status)).observe(seconds)

    def delivery(self, sink: str, outcome: str) -> None:
        """Count a try to deliver an event."""
        self._deliveries.labels(sink, outcome).inc()

    def check(self, outcome: str) -> None:
        """Count a run of a check."""
        self._checks.labels(outcome).inc()

    def check_file_refused(self, file: str) -> None:
        """Count a file of checks that cannot be used."""
        self._check_files.labels(file).inc()

    def lease_lost(self) -> None:
        """Count a write that was refused because another worker had taken over."""
        self._lease_losses.inc()

    def lease_losses(self) -> int:
        """Return how many lost leases all processes have counted."""
        total = _added_up(self._registry).get_sample_value("tracker_lease_losses_total")
        return int(total or 0)

    @property
    def registry(self) -> CollectorRegistry:
        """Return the registry for what a room counts by itself."""
        return self._registry

    def exposition(self, levels: Iterable[GaugeReading], more: Iterable[Collector] = ()) -> bytes:
        """Return the counts of all processes and these gauges in Prometheus' text format.

        Follows https://prometheus.io/docs/instrumenting/exposition_formats/
        """
        gauges = (_Gauges(levels), *more)
        return b"".join(map(generate_latest, (_added_up(self._registry), *gauges)))


def _known(route: str) -> str:
    """Return the label of a route, `other` for a route that is not known."""
    return route if route in ("gateway", *_ROUTES) else "other"


def _forget_the_dead(directory: Path) -> None:
    """Remove the gauges of processes that have ended."""
    for file in directory.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path(f"/proc/{pid}").exists():
            file.unlink(missing_ok=True)


def _added_up(own: CollectorRegistry) -> CollectorRegistry:
    if not are_shared():
        return own
    _forget_the_dead(Path(os.environ[_SHARED_DIRECTORY]))
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared


class _Gauges(Collector):
    """Levels are read when they are asked for, and so are the same in every process."""

    def __init__(self, levels: Iterable[GaugeReading]) -> None:
        self._levels = levels

    def collect(self) -> Iterator[Metric]:
        for level in self._levels:
            labels = [level.label] if level.label else []
            family = GaugeMetricFamily(level.name, level.meaning, labels=labels)
            for value, height in level.values.items():
                family.add_metric([value] if labels else [], height)
            yield family
