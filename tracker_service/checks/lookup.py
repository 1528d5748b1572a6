"""What the API shows of checks: lists, histories, pages for Prometheus, badges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tracker_service.errors import NoSuchCheck
from tracker_service.store import checks
from tracker_service.store.checks import FoundFile, KeptRun, KnownCheck
from tracker_service.store.database import Store

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_WINDOWS = {"1h": 1.0, "24h": 24.0, "7d": 7 * 24.0, "30d": 30 * 24.0}
_COLOURS = {"up": "#2e7d32", "down": "#c62828"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeCheck:
    """A check with its history."""

    check: KnownCheck
    availability: dict[str, float | None]  #: from 0 to 1, by the window
    runs: Sequence[KeptRun]


class CheckPages:
    """Reads checks for people and for Prometheus."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, after: str, limit: int) -> tuple[Sequence[KnownCheck], Sequence[FoundFile]]:
        """Return checks in the order of their names; with the first page, the files too."""
        with self._store.read() as connection:
            found = checks.known(connection, after, limit)
            return found, checks.files(connection) if not after else []

    def one(self, name: str, runs: int) -> WholeCheck:
        """Return a check with its last runs.

        Raises:
            NoSuchCheck: there is none of this name.
        """
        with self._store.read() as connection:
            check = checks.one(connection, name)
            if check is None:
                raise NoSuchCheck
            return WholeCheck(
                check=check,
                availability={
                    window: checks.availability(connection, check.task_id, hours)
                    for window, hours in _WINDOWS.items()
                },
                runs=checks.runs(connection, check.task_id, runs),
            )

    def badge(self, name: str) -> str:
        """Return the state of a check as SVG.

        Raises:
            NoSuchCheck: there is none of this name.
        """
        with self._store.read() as connection:
            check = checks.one(connection, name)
        if check is None:
            raise NoSuchCheck
        return _badge(check.name, check.state)

    def exposition(self) -> Iterator[str]:
        """Yield the page for Prometheus, with the names of blackbox_exporter.

        See https://github.com/prometheus/blackbox_exporter
        """
        with self._store.read() as connection:
            found = [check for check in checks.known(connection) if check.ran_at]
        for name, meaning, values in _FAMILIES:
            yield f"# HELP {name} {meaning}\n# TYPE {name} gauge\n"
            for check in found:
                for labels, value in values(check):
                    more = "".join(f',{key}="{_label(text)}"' for key, text in labels.items())
                    yield f'{name}{{check="{_label(check.name)}"{more}}} {value!r}\n'


Series = Iterator[tuple[Mapping[str, str], float]]


def _success(check: KnownCheck) -> Series:
    yield {}, float(bool(check.is_ok))


def _up(check: KnownCheck) -> Series:
    yield {}, float(check.state != "down")


def _phases(check: KnownCheck) -> Series:
    for phase, milliseconds in (check.phases or {}).items():
        yield {"phase": phase}, milliseconds / 1000


def _duration(check: KnownCheck) -> Series:
    yield {}, (check.latency_ms or 0) / 1000


def _status(check: KnownCheck) -> Series:
    yield {}, float(check.status or 0)


def _certificate(check: KnownCheck) -> Series:
    if check.certificate_until:
        yield {}, check.certificate_until.timestamp()


def _ran(check: KnownCheck) -> Series:
    if check.ran_at:
        yield {}, check.ran_at.timestamp()


_FAMILIES = (
    ("probe_success", "1 if the last run succeeded.", _success),
    ("probe_up", "0 while the check is down: some runs in a row have failed.", _up),
    ("probe_duration_seconds", "Seconds of each phase of the last run.", _phases),
    ("probe_latency_seconds", "Seconds of the last run.", _duration),
    ("probe_http_status_code", "Status of the last answer; 0 if there was none.", _status),
    ("probe_ssl_earliest_cert_expiry", "When the certificate ends, since 1970.", _certificate),
    ("probe_ran_timestamp_seconds", "When the last run was, since 1970.", _ran),
)


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _badge(name: str, state: str) -> str:
    shown = escape(name if len(name) <= 60 else f"{name[:59]}…")
    left, right = 12 + 7 * min(len(name), 60), 14 + 7 * len(state)
    colour = _COLOURS.get(state, "#616161")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{shown}: {state}"><title>{shown}: {state}</title>'
        f'<rect width="{left}" height="20" fill="#424242"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2}" y="14">{shown}</text>'
        f'<text x="{left + right / 2}" y="14">{state}</text></g></svg>\n'
    )
