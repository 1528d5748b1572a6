"""Read the dates that Oozie writes, in whichever zone and form a site has them.

Follows RFC 5322 §3.3 and §4.3, ISO 8601, and what `SimpleDateFormat` of Java prints for zones.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

log = structlog.get_logger()

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: `Sun, 22 Nov 2026 04:12:45 GMT`; the day of the week and the seconds may be missing.
_INTERNET = re.compile(
    r"(?:[^\W\d]+\.?,?\s+)?(?P<day>\d{1,2})[\s-](?P<month>[^\W\d]{3})[^\W\d]*\.?[\s-](?P<year>\d{4}),?"
    r"\s+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d+)?)?\s*(?P<zone>.*)"
)
#: `Sun Nov 22 04:12:45 GMT 2026`, as `Date.toString` of Java prints it.
_JAVA = re.compile(
    r"[^\W\d]+\s+(?P<month>[^\W\d]{3})\s+(?P<day>\d{1,2})\s+"
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)\s+(?P<zone>\S+)\s+(?P<year>\d{4})"
)
#: `2026-11-22T04:12Z`, `2026-11-22T09:42+0530`.
_ISO = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T\s](?P<hour>\d\d):(?P<minute>\d\d)"
    r"(?::(?P<second>\d\d)(?:[.,]\d+)?)?\s*(?P<zone>.*)"
)
_OFFSET = re.compile(r"(?:GMT|UTC|UT)?([+-])(\d{1,2}):?(\d\d)?(?::\d\d)?")
#: Offsets in hours of the names that Java prints. Those of RFC 5322 mean what it says; `IST` is
#: that of India, as `TimeZone` of Java has it.
_NAMES = {
    **dict.fromkeys(("", "GMT", "UTC", "UT", "Z", "WET"), 0.0),
    **{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7},
    **{"BST": 1, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2, "EEST": 3},
    **{"MSK": 3, "TRT": 3, "PKT": 5, "IST": 5.5, "SAST": 2, "WAT": 1, "CAT": 2, "EAT": 3},
    **{"SGT": 8, "HKT": 8, "PHT": 8, "WIB": 7, "ICT": 7, "JST": 9, "KST": 9, "BRT": -3, "ART": -3},
    **{"AEST": 10, "AEDT": 11, "ACST": 9.5, "AWST": 8, "NZST": 12, "NZDT": 13, "HST": -10},
    **{"AKST": -9, "AKDT": -8, "AST": -4, "ADT": -3, "NST": -3.5, "NDT": -2.5},
}


def instant_of(written: object) -> datetime | None:
    """Return the instant of a date in UTC; None for none, and for one that is not understood.

    Args:
        written: a date as text, or milliseconds since 1970.
    """
    if written in (None, ""):
        return None
    try:
        return _instant(str(written).strip())
    except (ValueError, OverflowError, OSError):
        log.debug("date_not_understood", date=str(written)[:80])
        return None


def _instant(text: str) -> datetime:
    if text.isdecimal():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    for form in (_INTERNET, _ISO, _JAVA):
        if found := form.fullmatch(text):
            return _dated(found).astimezone(UTC)
    raise ValueError(text)


def _dated(found: re.Match[str]) -> datetime:
    month = found["month"]
    return datetime(
        int(found["year"]),
        int(month) if month.isdecimal() else _MONTHS.index(month.lower()) + 1,
        int(found["day"]),
        int(found["hour"]),
        int(found["minute"]),
        min(int(found["second"] or 0), 59),  # a leap second
        tzinfo=_zone(found["zone"].strip()),
    )


def _zone(name: str) -> tzinfo:
    """Return the zone of a name or an offset; raise ValueError if nobody knows it."""
    plain = name.strip("()").upper()
    if plain in _NAMES:
        return timezone(timedelta(hours=_NAMES[plain]))
    if offset := _OFFSET.fullmatch(plain):
        apart = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(-apart if offset[1] == "-" else apart)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(name) from error
