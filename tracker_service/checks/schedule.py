"""When a check is due: cron with five fields as Vixie means it, `@hourly`, `@every 30s`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_NAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = 5
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SHORTEST_S = 1.0  #: between two due times
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def duration_s(text: object) -> float:
    """Return the seconds of a duration such as `30s`, `1m30s` or `2h`; a number is seconds.

    Raises:
        ValueError: it is none.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    whole = str(text).replace(" ", "")
    parts = _DURATION.findall(whole)
    if not parts or "".join(a + b for a, b in parts) != whole:
        raise ValueError(f"{text!r} is no duration such as 30s, 5m or 1h30m")
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The due times of a check."""

    cron: str  #: as written
    zone: str = "UTC"

    @classmethod
    def of(cls, cron: str, zone: str = "UTC") -> Schedule:
        """Return a schedule that has been tried.

        Raises:
            ValueError: the expression or the time zone cannot be used; says why.
        """
        return _schedule(" ".join(cron.split()), zone)

    @property
    def every_s(self) -> float | None:
        """Return the interval of `@every`; None for cron."""
        return _every_s(self.cron)

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Yield the due times after an instant, in UTC."""
        if every_s := self.every_s:
            passed = (instant - _EPOCH).total_seconds() // every_s
            while True:
                passed += 1
                yield _EPOCH + timedelta(seconds=passed * every_s)
        local = instant.astimezone(_zone(self.zone))
        for due in CronSim(_expression(self.cron), local):
            yield due.astimezone(UTC)

    def last_until(self, instant: datetime) -> datetime:
        """Return the last due time that is not after an instant."""
        if every_s := self.every_s:
            passed = (instant - _EPOCH).total_seconds() // every_s
            return _EPOCH + timedelta(seconds=passed * every_s)
        local = (instant + timedelta(microseconds=1)).astimezone(_zone(self.zone))
        return next(CronSim(_expression(self.cron), local, reverse=True)).astimezone(UTC)

    def missed(self, since: datetime, until: datetime, most: int) -> list[datetime]:
        """Return the last due times after an instant and until another one, the oldest first.

        Args:
            most: how many at most.
        """
        found: list[datetime] = []
        last = self.last_until(until)
        while last > since and len(found) < most:
            found.append(last)
            last = self.last_until(last - timedelta(microseconds=1))
        return found[::-1]


@cache
def _schedule(cron: str, zone: str) -> Schedule:
    _zone(zone)
    if _every_s(cron) is None:
        expression = _expression(cron)
        try:
            CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(f"{cron!r}: {str(error).lower()}") from error
    found = Schedule(cron, zone)
    next(found.after(datetime.now(UTC)), None)
    return found


@cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone, such as Europe/Berlin") from error


@cache
def _every_s(cron: str) -> float | None:
    if not cron.startswith("@every"):
        return None
    every_s = duration_s(cron.removeprefix("@every").strip())
    if every_s < _SHORTEST_S:
        raise ValueError(f"{cron!r}: a check is due once a second at most")
    return every_s


@cache
def _expression(cron: str) -> str:
    """Return the five fields of an expression.

    Raises:
        ValueError: it is no expression that Vixie's cron takes.
    """
    if cron == "@reboot":
        raise ValueError("'@reboot': a check has no boot; write when it is due")
    if cron.startswith("@"):
        if cron not in _NAMES:
            known = ", ".join([*_NAMES, "@every 30s"])
            raise ValueError(f"{cron!r} is not known; there are {known}")
        return _NAMES[cron]
    fields = cron.split()
    if len(fields) != _FIELDS:
        raise ValueError(
            f"{cron!r} has {len(fields)} fields, not 5: minute hour day-of-month month day-of-week"
        )
    for odd in "H?":
        if any(re.search(rf"(^|[,/]){re.escape(odd)}($|[,/(])", field) for field in fields):
            raise ValueError(f"{cron!r}: {odd} is not cron's; write numbers, names, *, - and /")
    return cron
