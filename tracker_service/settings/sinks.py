"""The parts of the settings about events: how long they are kept, who gets which."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import time
from importlib.util import find_spec
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
    WithJsonSchema,
    field_validator,
    model_validator,
)

from tracker_service.domain.causes import Category
from tracker_service.domain.subscriptions import QuietHours, Selection
from tracker_service.domain.urls import is_loopback, normal_host


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


def _installed(package: str, extra: str) -> Callable[[str], str]:
    """Return a check that an optional package is there."""

    def check(kind: str) -> str:
        if find_spec(package) is None:
            raise ValueError(
                f"{kind} needs an extra that is not installed: "
                f"`pip install 'tracker-service[{extra}]'`"
            )
        return kind

    return check


def _without_zone(at: time) -> time:
    if at.tzinfo:
        raise ValueError(f"{at}: write the time without its zone, and name the zone beside it")
    return at


ReadableFile = Annotated[Path, AfterValidator(_readable)]
HostName = Annotated[str, AfterValidator(normal_host)]
Port = Annotated[int, Field(gt=0, lt=65536)]
UserName = Annotated[str, Field(pattern=r"^[!-9;-~]+$")]  #: ASCII without `:`
#: As browsers take it: https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address
MailAddress = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)*$",
        max_length=254,
    ),
]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]  # of Prometheus
_SOME_ZONES = {"type": "string", "enum": ["UTC", "Europe/Berlin", "America/New_York"]}
ZoneName = Annotated[str, AfterValidator(_zone), WithJsonSchema(_SOME_ZONES)]  # any zone of IANA
TimeOfDay = Annotated[
    time,
    AfterValidator(_without_zone),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WebhookSettings(_Section):
    """A URL that takes CloudEvents."""

    type: Literal["webhook"]
    url: HttpUrl
    #: secrets that sign each request (Standard Webhooks), one a line; two while one is replaced
    secret_file: ReadableFile | None = None
    ca_file: ReadableFile | None = None  #: PEM with the authority of its certificate


class MailSettings(_Section):
    """A mail server, and the addresses that get the events of routes."""

    type: Literal["mail"]
    host: HostName
    port: Port | None = None  #: None: 587 with STARTTLS, 465 with TLS, 25 with neither
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: UserName | None = None
    password_file: ReadableFile | None = None
    ca_file: ReadableFile | None = None  #: PEM with the authority of its certificate
    sender: MailAddress
    to: tuple[MailAddress, ...] = ()

    @model_validator(mode="after")
    def _keeps_its_password(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file: set both or none")
        if self.user and self.tls == "none" and not is_loopback(self.host):
            raise ValueError("tls: none would send the password in the clear")
        return self


class ChatSettings(_Section):
    """A chat or pager that Apprise knows."""

    type: Annotated[Literal["apprise"], AfterValidator(_installed("apprise", "notify"))]
    url_file: ReadableFile  #: has one URL of Apprise, which is a secret


class AlertmanagerSettings(_Section):
    """Prometheus' Alertmanager."""

    type: Literal["alertmanager"]
    url: HttpUrl  #: without `/api/v2/alerts`
    ca_file: ReadableFile | None = None  #: PEM with the authority of its certificate
    user: UserName | None = None  #: of HTTP Basic
    password_file: ReadableFile | None = None
    labels: dict[LabelName, str] = {}  #: of each alert, besides `alertname`, `subject`, `service`

    @model_validator(mode="after")
    def _has_all_of_a_login(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file: set both or none")
        return self


class DatadogSettings(_Section):
    """The events API of Datadog."""

    type: Literal["datadog"]
    url: HttpUrl = HttpUrl("https://api.datadoghq.com/api/v1/events")
    key_file: ReadableFile
    key_in: Literal["header", "url"] = "header"  #: DD-API-KEY, or the parameter `api_key`
    tags: tuple[str, ...] = ()  #: of each event, such as `env:prod`
    ca_file: ReadableFile | None = None  #: PEM with the authority of its certificate


class EventBridgeSettings(_Section):
    """A bus of Amazon EventBridge."""

    type: Annotated[Literal["eventbridge"], AfterValidator(_installed("boto3", "aws"))]
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    bus: str = "default"  #: its name or ARN
    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,256}$")] = "tracker"
    #: in the form of `~/.aws/credentials`; None: as boto3 finds them, such as a role of the machine
    credentials_file: ReadableFile | None = None
    endpoint_url: HttpUrl | None = None  #: None: that of the region


class GraphiteSettings(_Section):
    """A server that takes Graphite's plain text protocol."""

    type: Literal["graphite"]
    host: HostName
    port: Port = 2003
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$")] = "events"


SinkSettings = Annotated[
    WebhookSettings
    | MailSettings
    | ChatSettings
    | AlertmanagerSettings
    | DatadogSettings
    | EventBridgeSettings
    | GraphiteSettings,
    Field(discriminator="type"),
]


class SinksSettings(BaseModel):
    """The sinks of the site by their names, and where users may send to."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, SinkSettings] = Field(init=False)

    #: hosts to which users may send, such as `hooks.example.com` or `*.example.com`
    allowed_hosts: tuple[str, ...] = ()
    #: addresses to which users may send although they are private, of this machine or of its link
    allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    #: domains to which users may send mail, through the first sink of type `mail`
    allowed_mail_domains: tuple[str, ...] = ()

    @property
    def by_name(self) -> dict[str, SinkSettings]:
        """Return the sinks of the site."""
        return self.__pydantic_extra__ or {}

    @property
    def mail(self) -> MailSettings | None:
        """Return the mail server for users."""
        found = (sink for sink in self.by_name.values() if isinstance(sink, MailSettings))
        return next(found, None)


class QuietSettings(_Section):
    """A time of the day in which nothing is sent."""

    begin: TimeOfDay
    end: TimeOfDay  #: before `begin`: on the next day
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
        if sinks.allowed_mail_domains and not sinks.mail:
            raise ValueError("allowed_mail_domains: add a sink of type mail, which sends the mail")
        return sinks

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Self:
        for route in self.routes:
            if route.sink not in self.sinks.by_name:
                known = ", ".join(sorted(self.sinks.by_name)) or "none"
                raise ValueError(f"routes: there is no sink {route.sink}; there are: {known}")
            sink = self.sinks.by_name[route.sink]
            if isinstance(sink, MailSettings) and not sink.to:
                raise ValueError(f"sinks: {route.sink}: a route leads here, so name addresses: to")
        return self
