"""The settings of ledgers for jobs that report themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, HttpUrl, model_validator
from pydantic.networks import IPvAnyNetwork

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d*)?)(h|ms|m|s)")
_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"


def _duration(value: object) -> object:
    """Read a duration as Go writes it (`1h30m`), or a number of seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _PART.sub("", text) == "" and text:
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{value}: write a duration as 24h, 90m or 1h30m") from error


Duration = Annotated[
    timedelta, BeforeValidator(_duration), Field(ge=timedelta(0), le=timedelta(days=36_500))
]
Name = Annotated[str, Field(pattern=_NAME)]
State = Annotated[str, Field(min_length=1, max_length=255)]


class _LedgerSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WriterKeySettings(_LedgerSection):
    """A key with which a writer may report jobs from anywhere; `tracker ledger key` makes one."""

    name: str = Field(pattern=r"^[^:\s]+$")  #: the user name in HTTP Basic
    sha256: str = Field(pattern="^[0-9a-fA-F]{64}$")  #: of the secret
    ledger: str | None = None  #: the ledger that it opens; None: the one that the path names
    experiment: str | None = None  #: only jobs of this experiment; None: of all
    datatype: str | None = None  #: only jobs of this datatype


class ActionSettings(_LedgerSection):
    """What is done for a job that has come to a state."""

    workflow: dict[str, str] | None = None  #: properties of an Oozie workflow to start
    webhook: HttpUrl | None = None  #: URL to which the job is posted
    next: State  #: the state that follows
    retry_after: Duration = timedelta(minutes=2)
    #: the same day's job of this datatype must be complete, or not be there, first
    waits_for: str | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if self.workflow is not None and self.webhook is not None:
            raise ValueError("set workflow or webhook, not both")
        return self


class OneLedgerSettings(_LedgerSection):
    """A ledger."""

    #: YAML file with the sources of the job service, in Gardener's form
    config: Path | None = None
    #: where the files of jobs are looked for before a job is given out: a URL of fsspec with
    #: {bucket}; not set: nobody looks
    storage: str | None = None
    storage_options: dict[str, str] = {}  #: of that file system, as fsspec takes them
    expiration: Duration = timedelta(hours=24)  #: without news a job is removed; 0: never
    cleanup_delay: Duration = timedelta(hours=3)  #: a complete job is removed after this time
    heartbeats_postpone_expiry: bool = False  #: a heartbeat is news
    #: the states that may follow each state; not set: every state may follow every other
    states: dict[State, tuple[State, ...]] | None = None
    #: states that are told in the event `ledger.job.state_changed` when a job comes to one
    events: tuple[State, ...] = ()
    actions: dict[State, ActionSettings] = {}  #: what is done in each state


class LedgerSettings(OneLedgerSettings):
    """Ledgers for jobs that report themselves. These settings are of the one named `default`."""

    enabled: bool = False
    #: who may report jobs: networks, and keys
    writers: tuple[IPvAnyNetwork | WriterKeySettings, ...] = (
        ip_network("127.0.0.0/8"),
        ip_network("::1"),
    )
    more: dict[Name, OneLedgerSettings] = {}  #: more ledgers by their names
    user: str | None = None  #: as whom workflows are started; None: gateway.polling_user
    password_file: Path | None = None  #: its password, on one line

    @model_validator(mode="after")
    def _has_other_names(self) -> Self:
        if DEFAULT in self.more:
            raise ValueError(f"more: the name {DEFAULT} is taken")
        if (self.user is None) != (self.password_file is None):
            raise ValueError("set user and password_file, or neither")
        return self

    @property
    def all(self) -> Mapping[str, OneLedgerSettings]:
        """Return the settings of each ledger by its name."""
        return {DEFAULT: self, **self.more}


DEFAULT = "default"
