"""Subscriptions: which events go to whom, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo

from tracker_service.domain.events import Event, EventType

NOTIFY = "notify"  #: the kind of the tasks that deliver events; each is one subscription
SITE_OWNER = ""  #: the owner of a subscription of the site
CHECKS_OWNER = "~checks"  #: of the subscriptions that post results of checks; it is no user's name


class DeliveryState(StrEnum):
    """The state of one delivery of an event."""

    PENDING = "pending"  #: not accepted yet; -> DELIVERED | MUTED | DEAD
    HELD = "held"  #: waits for others of its family; -> DELIVERED | GROUPED | MUTED
    DELIVERED = "delivered"  #: the receiver has accepted it
    GROUPED = "grouped"  #: another message of the family has counted it
    MUTED = "muted"  #: its family was muted before it was sent
    DEAD = "dead"  #: refused for good, or in vain for too long; can be replayed; -> PENDING


class SubscriptionReason(StrEnum):
    """Why a subscription delivers nothing now."""

    REFUSED = "refused"  #: the receiver, or what is in between, does not take what is sent


#: Deliveries in one of these states are still to be sent.
UNSENT = (DeliveryState.PENDING, DeliveryState.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """A time of the day in which nothing is sent; what happens then is sent at its end."""

    begin: time
    end: time  #: before `begin`: on the next day
    zone: ZoneInfo

    def over_at(self, now: datetime) -> datetime | None:
        """Return when the quiet hours end that are on now; None if none are on."""
        local = now.astimezone(self.zone)
        for day in (local.date() - timedelta(days=1), local.date()):
            begin = datetime.combine(day, self.begin, self.zone)
            end = datetime.combine(day, self.end, self.zone)
            if end <= begin:
                end = datetime.combine(day + timedelta(days=1), self.end, self.zone)
            if begin <= local < end:
                return end
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events a subscription wants; what is empty restricts nothing."""

    types: tuple[str, ...] = ()  #: `tracker.logs.*` stands for all that begin so
    job_name: str | None = None  #: with `*` and `?`, as file names in a shell
    coordinator: str | None = None  #: id of the job that started the job
    categories: tuple[str, ...] = ()  #: of causes
    is_only_new: bool = False  #: only failures whose family was not seen before
    quiet: QuietHours | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Selection:
        """Make a selection from the JSON that `to_json` has made."""
        quiet = value.get("quiet")
        return cls(
            types=tuple(value.get("types", ())),
            job_name=value.get("job-name"),
            coordinator=value.get("coordinator"),
            categories=tuple(value.get("categories", ())),
            is_only_new=value.get("only-new", False),
            quiet=QuietHours(
                begin=time.fromisoformat(quiet["begin"]),
                end=time.fromisoformat(quiet["end"]),
                zone=ZoneInfo(quiet["zone"]),
            )
            if quiet
            else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the selection as JSON; what restricts nothing is left out."""
        value: dict[str, Any] = {
            "types": list(self.types),
            "job-name": self.job_name,
            "coordinator": self.coordinator,
            "categories": list(self.categories),
            "only-new": self.is_only_new,
            "quiet": {
                "begin": self.quiet.begin.isoformat("minutes"),
                "end": self.quiet.end.isoformat("minutes"),
                "zone": self.quiet.zone.key,
            }
            if self.quiet
            else None,
        }
        return {name: item for name, item in value.items() if item}

    def wants(self, event: Event) -> bool:
        """Tell whether an event is wanted.

        A restriction to jobs, causes or families leaves out events that tell of none.
        """
        cause = event.data.get("cause") or {}
        name = event.data.get("name") or ""
        return (
            (not self.types or any(has_type(event, wanted) for wanted in self.types))
            and (self.job_name is None or fnmatchcase(name, self.job_name))
            and (self.coordinator in (None, event.data.get("parent")))
            and (not self.categories or cause.get("category") in self.categories)
            and (not self.is_only_new or event.data.get("is-new-family") is True)
        )


def has_type(event: Event, wanted: str) -> bool:
    """Tell whether an event has a type, or one that begins so if `wanted` ends with `*`."""
    if wanted.endswith("*"):
        return event.type.startswith(wanted[:-1])
    return event.type == wanted


def family_of(event: Event) -> str | None:
    """Return the fingerprint of the failure that an event tells of; None if it tells of none."""
    cause = event.data.get("cause") or {}
    if event.type != EventType.JOB_FAILED or cause.get("category") == "unknown":
        return None  # two unknown causes need not be the same
    fingerprint: str | None = cause.get("fingerprint")
    return fingerprint and fingerprint[:64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One subscription of a user or of the site."""

    task_id: int
    name: str  #: its id for people; unique for its owner
    owner: str  #: `SITE_OWNER` for one of the site
    #: where to: of a user, the settings of the sink, its secrets encrypted; of the site, the name
    #: of a sink in the settings, under the key `name`
    sink: Mapping[str, Any]
    selection: Selection
    created_at: datetime
    trouble: str | None  #: why the receiver refuses what is sent
