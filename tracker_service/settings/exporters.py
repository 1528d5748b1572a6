"""Settings of the exporters: which Teraslice masters are scraped, and what is shown of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, field_validator, model_validator

Seconds = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TerasliceMaster(_Section):
    """A Teraslice master."""

    name: Annotated[str, Field(min_length=1, max_length=100)]  #: the label `cluster`
    url: HttpUrl  #: as a browser reaches it, with a path prefix where there is one
    display_url: HttpUrl | None = None  #: the label `url`; default: `url`
    ca_file: Path | None = None  #: PEM with a further authority
    interval: Seconds = 30  #: seconds from one update to the next
    timeout: Seconds = 10  #: seconds of one request; no update lasts longer than `interval`
    user: str | None = None  #: for a proxy in front of it (HTTP Basic)
    password_file: Path | None = None
    #: a header for a proxy in front of it
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")] | None = None
    header_file: Path | None = None  #: its value

    @field_validator("ca_file", "password_file", "header_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not os.access(path, os.R_OK):
            raise ValueError(f"cannot read {path}")
        return path

    @field_validator("url", "display_url")
    @classmethod
    def _has_no_secret(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is not None and (url.username or url.password):
            raise ValueError("write no user or password here: set user and password_file")
        if url is not None and (url.query or url.fragment):
            raise ValueError("end with the path: the masters' paths follow")
        return url

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("set user and password_file, or neither")
        if (self.header is None) != (self.header_file is None):
            raise ValueError("set header and header_file, or neither")
        return self

    @property
    def shown_url(self) -> str:
        """Return the label `url`, with a slash at its end as the first exporter wrote it."""
        return str(self.display_url or self.url).rstrip("/") + "/"


class ExportersSettings(_Section):
    """What is shown to Prometheus of systems that others run."""

    teraslice: tuple[TerasliceMaster, ...] = ()
    teraslice_bare_names: bool = True  #: also the metrics with bare names, such as `processed`
    teraslice_extended: bool = True  #: also counters, phases, `teraslice_up` and the like
    #: how old the values of a master that does not answer may get before they vanish
    teraslice_keep_s: Seconds = 300

    @model_validator(mode="after")
    def _differ(self) -> Self:
        for what, values in (
            ("name", [master.name for master in self.teraslice]),
            ("display_url", [master.shown_url for master in self.teraslice]),
        ):
            if twice := {value for value in values if values.count(value) > 1}:
                found = ", ".join(sorted(twice))
                raise ValueError(f"teraslice: two masters have the same {what}: {found}")
        return self
