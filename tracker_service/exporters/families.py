"""The metric families of Teraslice, in the order of the page: names, types, what they mean.

The set `bare` has the names of the first plan, `release` those of the last release 0.4.0 of the
exporter that this one replaces, and `extended` adds what both lack, in the form that
https://prometheus.io/docs/practices/naming/ asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "histogram"]

#: The numbers of a row of `/v1/cluster/controllers`, in its order.
NUMBERS = (
    "workers_available",
    "workers_active",
    "workers_joined",
    "workers_reconnected",
    "workers_disconnected",
    "job_duration",
    "failed",
    "subslices",
    "queued",
    "slice_range_expansion",
    "processed",
    "slicers",
    "subslice_by_key",
)
DATES = ("started", "queuing_complete")
STATUSES = (
    "completed",
    "failed",
    "failing",
    "initializing",
    "paused",
    "pending",
    "recovering",
    "rejected",
    "running",
    "scheduling",
    "stopped",
    "stopping",
    "terminated",
)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family."""

    name: str
    kind: Kind
    meaning: str
    column: str = ""  #: of the snapshot, where a family shows one value of each execution

    @property
    def head(self) -> str:
        """Return the two lines before its series."""
        return f"# HELP {self.name} {self.meaning}\n# TYPE {self.name} {self.kind}\n"


_MEANINGS = {
    "workers_available": "Workers that wait for work.",
    "workers_active": "Workers that process a slice.",
    "workers_joined": "Workers that have joined the controller since it started.",
    "workers_reconnected": "Workers that have reconnected to the controller since it started.",
    "workers_disconnected": "Workers that the controller has lost since it started.",
    "job_duration": "Seconds that the job took; 0 while it runs.",
    "failed": "Slices that have failed since the controller started.",
    "subslices": "Subslices made since the controller started.",
    "queued": "Slices that wait for a worker.",
    "slice_range_expansion": "Slices whose range was expanded since the controller started.",
    "processed": "Slices that are done, with or without success, since the controller started.",
    "slicers": "Slicers of the execution.",
    "subslice_by_key": "Subslices by key since the controller started.",
    "started": "When the controller started, in seconds since 1970.",
    "queuing_complete": "When all slices were queued, in seconds since 1970; 0 until then.",
}
PHASES_OF_BARE = {"firstByte": "first_byte", "download": "download", "total": "total"}

MASTER_INFO = "teraslice_master_info"
EXECUTION_INFO = "teraslice_execution_info"
EXECUTION_STATUS = "teraslice_execution_status"
QUERY_DURATION = "teraslice_query_duration_seconds"
RELEASE_ERRORS = "teraslice_exporter_errors"
QUEUING_COMPLETE = "teraslice_controller_queuing_complete_timestamp_seconds"
CONTROLLERS = "teraslice_controllers"
QUERY_PHASE = "teraslice_query_phase_seconds"
UP = "teraslice_up"
LAST_SUCCESS = "teraslice_exporter_last_success_timestamp_seconds"
ERRORS = "teraslice_exporter_errors_total"
UPDATE_DURATION = "teraslice_exporter_update_duration_seconds"
BUILD_INFO = "teraslice_exporter_build_info"

BARE = (
    *(Family(name, "gauge", _MEANINGS[name], name) for name in (*NUMBERS, *DATES)),
    *(
        Family(f"got_phase_{phase}", "gauge", "Milliseconds of the last query for controllers.")
        for phase in PHASES_OF_BARE
    ),
)
RELEASE = (
    *(
        Family(f"teraslice_controller_{name}", "gauge", _MEANINGS[column], column)
        for name, column in (
            ("workers_active", "workers_active"),
            ("workers_available", "workers_available"),
            ("workers_joined", "workers_joined"),
            ("workers_reconnected", "workers_reconnected"),
            ("workers_disconnected", "workers_disconnected"),
            ("slices_processed", "processed"),
            ("slices_failed", "failed"),
            ("slices_queued", "queued"),
            ("slicers_count", "slicers"),
        )
    ),
    Family(MASTER_INFO, "gauge", "1, with what the master says of itself."),
    Family(EXECUTION_INFO, "gauge", "1, with the image of the execution; only in Kubernetes."),
    Family(QUERY_DURATION, "gauge", "Seconds of the last query, by its name."),
    *(
        Family(f"teraslice_execution_{name}", "gauge", meaning, f"execution_{column}")
        for name, column, meaning in (
            ("cpu_limit", "cpu_limit", "CPU cores that a worker may use at most."),
            ("cpu_request", "cpu_request", "CPU cores that a worker asks for."),
            ("memory_limit", "memory_limit", "Bytes of memory that a worker may use at most."),
            ("memory_request", "memory_request", "Bytes of memory that a worker asks for."),
            ("created_timestamp_seconds", "created", "When the execution was created."),
            ("updated_timestamp_seconds", "updated", "When the execution was changed last."),
            ("slicers", "slicers", "Slicers that the execution defines."),
            ("workers", "workers", "Workers that the execution defines; it may have others."),
        )
    ),
    Family(EXECUTION_STATUS, "gauge", "1 for the status of the execution, 0 for each other one."),
    Family(RELEASE_ERRORS, "gauge", "Updates that failed, and values that were left out."),
)
EXTENDED = (
    *(
        Family(f"teraslice_controller_{name}_total", "counter", _MEANINGS[column], column)
        for name, column in (
            ("slices_processed", "processed"),
            ("slices_failed", "failed"),
            ("subslices", "subslices"),
            ("slice_range_expansions", "slice_range_expansion"),
            ("subslices_by_key", "subslice_by_key"),
            ("workers_joined", "workers_joined"),
            ("workers_reconnected", "workers_reconnected"),
            ("workers_disconnected", "workers_disconnected"),
        )
    ),
    Family(
        "teraslice_controller_job_duration_seconds",
        "gauge",
        _MEANINGS["job_duration"],
        "job_duration",
    ),
    Family(
        "teraslice_controller_started_timestamp_seconds",
        "gauge",
        "When the controller started.",
        "started",
    ),
    Family(QUEUING_COMPLETE, "gauge", "When all slices were queued; absent until then."),
    Family(CONTROLLERS, "gauge", "Controllers in the last answer of the master."),
    Family(QUERY_PHASE, "gauge", "Seconds of each phase of the last query; no phase on failure."),
    Family(UP, "gauge", "1 if the last update of this master succeeded, and in time; else 0."),
    Family(LAST_SUCCESS, "gauge", "When the last update of this master succeeded."),
    Family(ERRORS, "counter", "What went wrong with a master, by its kind and the query."),
    Family(UPDATE_DURATION, "histogram", "Seconds of an update of all series of a master."),
    Family(BUILD_INFO, "gauge", "1, with the version of this exporter."),
)


def families(*, with_bare: bool, with_extended: bool) -> tuple[Family, ...]:
    """Return the families of the sets that are on."""
    return (
        *(BARE if with_bare else ()),
        *RELEASE,
        *(EXTENDED if with_extended else ()),
    )
