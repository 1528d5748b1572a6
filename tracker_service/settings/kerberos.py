"""The part of the settings `gateway` for a cluster without Knox, with Kerberos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, HttpUrl, field_validator, model_validator

_NEEDED = ("oozie_url", "namenode_url", "resource_manager_url", "principal", "keytab")
_OPTIONAL = ("job_history_url",)
_OF_KNOX = ("url", "polling_user", "background", "token_url")


class KerberosSettings(BaseModel):
    """The URLs of the services, and the login of the tracker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: `basic`: through Knox, with users' own credentials; `kerberos`: directly to the services; the
    #: tracker logs in with its keytab and acts for users as a proxy user of Hadoop and Oozie
    auth: Literal["basic", "kerberos"] = "basic"
    oozie_url: HttpUrl | None = None  #: up to and with `/oozie`
    namenode_url: HttpUrl | None = None  #: the web server of the active NameNode
    resource_manager_url: HttpUrl | None = None  #: the web server of the active ResourceManager
    job_history_url: HttpUrl | None = None  #: the web server of the JobHistory server
    principal: str | None = None  #: for example `tracker/tracker.example.com@EXAMPLE.COM`
    keytab: Path | None = None  #: with the key of the principal

    @field_validator("keytab")
    @classmethod
    def _readable_keytab(cls, path: Path | None) -> Path | None:
        if path is not None and not os.access(path, os.R_OK):
            raise ValueError(f"cannot read {path}")
        return path

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        fields = type(self).model_fields
        given = {name for name, field in fields.items() if getattr(self, name) != field.default}
        if not self.is_direct:
            if alone := [name for name in (*_NEEDED, *_OPTIONAL) if name in given]:
                raise ValueError(f"{', '.join(alone)}: set auth: kerberos too, or leave that out")
            return self
        if missing := [name for name in _NEEDED if name not in given]:
            raise ValueError(f"auth: kerberos needs {', '.join(missing)} too")
        if extra := [name for name in _OF_KNOX if name in given]:
            raise ValueError(f"auth: kerberos goes without Knox: leave out {', '.join(extra)}")
        return self

    @property
    def is_direct(self) -> bool:
        """Tell whether the cluster is reached without Knox."""
        return self.auth == "kerberos"
