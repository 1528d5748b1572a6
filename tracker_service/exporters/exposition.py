"""Write the series of some masters in Prometheus' text format, one family after the other.

Follows https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import accumulate
from typing import Any

from tracker_service.exporters import families as names
from tracker_service.exporters.families import BARE, PHASES_OF_BARE, STATUSES, Family
from tracker_service.exporters.health import BUCKETS, OF_VALUES, Health
from tracker_service.exporters.snapshot import Snapshot, Values

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_BARE_NAMES = frozenset(family.name for family in BARE)
_RELEASE_ERRORS = ("update_stats_errors", "update_metrics_errors")


@dataclass(slots=True, kw_only=True)
class Exposed:
    """One master on the page."""

    cluster: str  #: the label of that name
    url: str  #: the label of that name
    health: Health
    snapshot: Snapshot | None  #: None: there are no values, or they are too old
    _labels: dict[bool, list[str]] = field(default_factory=dict)

    @property
    def of_master(self) -> str:
        """Return the labels of series of the master as a whole."""
        return f"{label('url', self.url)},{label('name', self.health.name or self.cluster)}"

    def labels(self, *, bare: bool) -> list[str]:
        """Return the labels of each execution, in one of the two forms."""
        if bare not in self._labels:
            self._labels[bare] = self._bare() if bare else self._usual()
        return self._labels[bare]

    def _bare(self) -> list[str]:
        cluster = label("cluster", self.cluster)
        return [
            f'{cluster},ex_id="{ex}",job_id="{job}",name="{name}"' for ex, job, name in self.keys()
        ]

    def _usual(self) -> list[str]:
        of_master = self.of_master
        return [
            f'ex_id="{ex}",job_id="{job}",job_name="{name}",{of_master}'
            for ex, job, name in self.keys()
        ]

    def keys(self) -> Iterator[tuple[str, ...]]:
        """Return the escaped ids of each execution and of its job, and the job's name."""
        return zip(
            *(map(escaped, self.column(n)) for n in ("ex_id", "job_id", "name")), strict=True
        )

    def column(self, name: str) -> Values:
        """Return a column of the snapshot; an empty one where there is none."""
        return self.snapshot.columns.get(name, []) if self.snapshot else []


def escaped(text: str) -> str:
    """Return the value of a label between its quotes."""
    is_plain = '"' not in text and "\\" not in text and "\n" not in text
    return text if is_plain else text.translate(_ESCAPES)


def label(name: str, text: str) -> str:
    """Return a label with its value."""
    return f'{name}="{escaped(text)}"'


def page(masters: Sequence[Exposed], families: Iterable[Family]) -> Iterator[bytes]:
    """Yield the page in pieces of one family and one master."""
    for family in families:
        yield family.head.encode()
        if whole := _OF_ALL.get(family.name):
            yield _lines(family.name, whole(masters)).encode()
            continue
        for master in masters:
            yield _of_master(family, master).encode()


def _of_master(family: Family, master: Exposed) -> str:
    if whole := _WHOLE.get(family.name):
        return whole(family.name, master)
    if series := _SPECIAL.get(family.name):
        return _lines(family.name, series(master))
    return _column(family, master)


Series = Iterable[tuple[str, Any]]  #: labels, each with its value


def _lines(name: str, series: Series) -> str:
    return "".join([f"{name}{{{labels}}} {value}\n" for labels, value in series])


def _column(family: Family, master: Exposed) -> str:
    start = family.name + "{"
    labels = master.labels(bare=family.name in _BARE_NAMES)
    values = master.column(family.column)
    pairs = zip(labels, values, strict=bool(values))
    # The bulk of a page, with hundreds of thousands of lines: nothing is called for one of them.
    return "".join([f"{start}{its}}} {value}\n" for its, value in pairs if value is not None])


_ENDS_OF_STATUS: Mapping[str | None, Sequence[str]] = {
    None: (),
    **{
        its: [f',status="{status}"}} {int(status == its)}\n' for status in STATUSES]
        for its in STATUSES
    },
}


def _statuses(name: str, master: Exposed) -> str:
    """Return a line for each execution and each status: a quarter of the page."""
    start = name + "{"
    pairs = zip(master.labels(bare=False), master.column("execution_status"), strict=True)
    return "".join(
        [f"{start}{labels}{end}" for labels, its in pairs for end in _ENDS_OF_STATUS[its]]
    )


def _master_info(master: Exposed) -> Series:
    if not master.snapshot:
        return ()
    told = dict(master.snapshot.info) | {"url": master.url}
    return [(",".join(label(name, text) for name, text in sorted(told.items())), 1)]


def _execution_info(master: Exposed) -> Series:
    of_master, of_images = master.of_master, dict[str, str]()  # few images are of all executions
    for (ex_id, job_id, _), image in zip(master.keys(), master.column("image"), strict=True):
        if image:
            if image not in of_images:
                of_images[image] = f"{label('image', image)},{label('version', _version(image))}"
            yield f'ex_id="{ex_id}",job_id="{job_id}",{of_images[image]},{of_master}', 1


def _version(image: str) -> str:
    """Return the version in the tag of an image: `registry:5000/teraslice:v0.70.0_1`."""
    name = image.rpartition("/")[2].partition("@")[0]
    return name.partition(":")[2].partition("_")[0]


def _query_durations(master: Exposed) -> Series:
    for query, phases in master.health.phases.items():
        yield f"{label('query_name', query)},{master.of_master}", phases["total"]


def _query_phases(master: Exposed) -> Series:
    for query, phases in master.health.phases.items():
        for phase, seconds in phases.items():
            yield f'{label("query_name", query)},phase="{phase}",{master.of_master}', seconds


def _bare_phase(phase: str) -> Callable[[Exposed], Series]:
    def series(master: Exposed) -> Series:
        seconds = master.health.phases.get("controllers", {}).get(phase)
        if seconds is not None:
            yield label("cluster", master.cluster), round(1000 * seconds, 3)

    return series


def _queuing_complete(master: Exposed) -> Series:
    pairs = zip(master.labels(bare=False), master.column("queuing_complete"), strict=True)
    return ((labels, value) for labels, value in pairs if value)


def _controllers(master: Exposed) -> Series:
    return [(master.of_master, len(master.column("ex_id")))] if master.snapshot else ()


def _up(master: Exposed) -> Series:
    return [(master.of_master, int(master.health.is_up))]


def _last_success(master: Exposed) -> Series:
    at = master.health.last_success
    return [] if at is None else [(master.of_master, at)]


def _errors(master: Exposed) -> Series:
    for (kind, query), count in sorted(master.health.errors.items()):
        of_error = f"{label('error_type', kind)},{label('query_name', query)}"
        yield f"{of_error},{label('url', master.url)}", count


def _release_errors(masters: Sequence[Exposed]) -> Series:
    """Return the errors of all masters together: the label `url` is missing in the release."""
    counts = dict.fromkeys(_RELEASE_ERRORS, 0)
    for master in masters:
        for (kind, _), count in master.health.errors.items():
            counts[_RELEASE_ERRORS[kind in OF_VALUES]] += count
    return [(label("error_type", kind), count) for kind, count in counts.items()]


def _update_durations(name: str, master: Exposed) -> str:
    health, of_master = master.health, master.of_master
    counts = list(accumulate(health.updates))
    buckets = zip((*BUCKETS, "+Inf"), counts, strict=True)
    return (
        "".join(f'{name}_bucket{{le="{end}",{of_master}}} {count}\n' for end, count in buckets)
        + f"{name}_sum{{{of_master}}} {health.updates_s!r}\n"
        + f"{name}_count{{{of_master}}} {counts[-1]}\n"
    )


def _build_info(_: Sequence[Exposed]) -> Series:
    return [(label("version", version("tracker-service")), 1)]


_SPECIAL: Mapping[str, Callable[[Exposed], Series]] = {
    names.MASTER_INFO: _master_info,
    names.EXECUTION_INFO: _execution_info,
    names.QUERY_DURATION: _query_durations,
    names.QUERY_PHASE: _query_phases,
    names.QUEUING_COMPLETE: _queuing_complete,
    names.CONTROLLERS: _controllers,
    names.UP: _up,
    names.LAST_SUCCESS: _last_success,
    names.ERRORS: _errors,
    **{f"got_phase_{bare}": _bare_phase(phase) for bare, phase in PHASES_OF_BARE.items()},
}
_WHOLE: Mapping[str, Callable[[str, Exposed], str]] = {
    names.EXECUTION_STATUS: _statuses,
    names.UPDATE_DURATION: _update_durations,
}
_OF_ALL: Mapping[str, Callable[[Sequence[Exposed]], Series]] = {
    names.RELEASE_ERRORS: _release_errors,
    names.BUILD_INFO: _build_info,
}
