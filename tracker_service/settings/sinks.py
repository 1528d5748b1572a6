"""The parts of the settings about events: how long they are kept, who gets which."""

from __future__ import annotations

import os
from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    IPvAnyNetwork,
    field_validator,
    model_validator,
)

from tracker_service.domain.causes import Category
from tracker_service.domain.subscriptions import QuietHours, Selection


def _readable(path: Path) -> Path:
    if not os.access(path, os.R_OK):
        raise ValueError(f"cannot read {path}")
    return path


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name}: no time zone, such as Europe/Berlin") from error
    return name


ReadableFile = Annotated[Path, AfterValidator(_readable)]
ZoneName = Annotated[str, AfterValidator(_zone)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WebhookSettings(_Section):
    """A URL that takes CloudEvents."""

    type: Literal["webhook"]
    url: HttpUrl
    #: secrets that sign each request (Standard Webhooks), one a line; two while one is replaced
    secret_file: ReadableFile | None = None
    ca_file: ReadableFile | None = None  #: PEM with the authority of its certificate


SinkSettings = WebhookSettings


class SinksSettings(BaseModel):
    """The sinks of the site by their names, and where users may send to."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, SinkSettings] = Field(init=False)

    #: hosts to which users may send, such as `hooks.example.com` or `*.example.com`
    allowed_hosts: tuple[str, ...] = ()
    #: addresses to which users may send although they are private, of this machine or of its link
    allowed_networks: tuple[IPvAnyNetwork, ...] = ()

    @property
    def by_name(self) -> dict[str, SinkSettings]:
        """Return the sinks of the site."""
        return self.__pydantic_extra__ or {}


class QuietSettings(_Section):
    """A time of the day in which nothing is sent."""

    begin: time
    end: time  #: before `begin`: on the next day
    zone: ZoneName = "UTC"


class SelectionSettings(_Section):
    """Which events are wanted; what is left out restricts nothing."""

    types: tuple[Annotated[str, Field(pattern=r"^[a-z_]+([.][a-z_]+)*([.]?[*])?$")], ...] = ()
    job_name: str | None = None  #: with `*` and `?`, as file names in a shell
    coordinator: str | None = None  #: the id of the job that started the job
    categories: tuple[Category, ...] = ()  #: of causes
    only_new: bool = False  #: only failures of a family that was not seen in the last 30 days
    quiet: QuietSettings | None = None

    @property
    def selection(self) -> Selection:
        """Return these wishes as a selection."""
        quiet = self.quiet
        return Selection(
            types=self.types,
            job_name=self.job_name,
            coordinator=self.coordinator,
            categories=tuple(self.categories),
            is_only_new=self.only_new,
            quiet=QuietHours(begin=quiet.begin, end=quiet.end, zone=ZoneInfo(quiet.zone))
            if quiet
            else None,
        )


class RouteSettings(SelectionSettings):
    """Events of the site that go to one of its sinks."""

    sink: str  #: its name in `sinks`


class EventSettings(_Section):
    """The log of events."""

    keep_h: Annotated[float, Field(ge=48, le=1e6)] = 30 * 24  #: how long events are kept


class EventsAndSinks(BaseModel):
    """The settings about events, as a part of all settings."""

    events: EventSettings = EventSettings()
    sinks: SinksSettings = SinksSettings()
    routes: tuple[RouteSettings, ...] = ()

    @field_validator("sinks")
    @classmethod
    def _has_no_odd_name(cls, sinks: SinksSettings) -> SinksSettings:
        for name in sinks.by_name:
            if not name.replace("-", "").replace("_", "").isalnum() or len(name) > 64:
                raise ValueError(f"{name}: a sink has a name of letters, digits, - and _")
        return sinks

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Self:
        for route in self.routes:
            if route.sink not in self.sinks.by_name:
                known = ", ".join(sorted(self.sinks.by_name)) or "none"
                raise ValueError(f"routes: there is no sink {route.sink}; there are: {known}")
        return self
