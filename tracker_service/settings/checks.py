"""Settings of the checks of HTTP endpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, field_validator, model_validator

Count = Annotated[int, Field(gt=0, le=2000)]
Days = Annotated[float, Field(gt=0, le=3650)]
CLUSTER = "cluster"


class ChecksSettings(BaseModel):
    """What is checked, and how. `checks: cluster` alone stands for `checks: {cluster: true}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    directories: tuple[Path, ...] = ()  #: folders with files `*.yml`, as docs/checks.md says
    cluster: bool = False  #: check Knox, Oozie, WebHDFS, YARN and its history behind the gateway
    #: user that asks the cluster; default: gateway.polling_user
    cluster_user: str | None = None
    cluster_password_file: Path | None = None  #: its password, on one line
    lenient: bool = False  #: repair files in memory as `tracker checks lint --fix` does
    secrets_directory: Path | None = None  #: `secret:NAME` in a file of checks names a file in it
    #: networks that checks may look into; none: all, but for addresses of the link (metadata)
    allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    at_once: Count = 200  #: checks of one worker at once
    per_host: Count = 20  #: of them, checks of one host and port
    #: seconds after a due time in which the checks that are due then are spread; less than a minute
    spread_s: Annotated[float, Field(ge=0, lt=60)] = 55
    keep_d: Days = 7  #: how long each run is kept; sums by the hour are kept 31 days

    @model_validator(mode="before")
    @classmethod
    def _may_be_one_word(cls, value: object) -> object:
        return {"cluster": True} if value == CLUSTER else value

    @field_validator("directories")
    @classmethod
    def _are_there(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        for path in paths:
            if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
                raise ValueError(f"{path} is no directory that can be read")
        return paths

    @field_validator("cluster_password_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not os.access(path, os.R_OK):
            raise ValueError(f"cannot read {path}")
        return path

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.cluster_user is None) != (self.cluster_password_file is None):
            raise ValueError("set cluster_user and cluster_password_file, or neither")
        return self
