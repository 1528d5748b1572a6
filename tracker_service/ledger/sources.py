"""Read the sources of a ledger from a file in the form of Gardener's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from tracker_service.domain.ledger import LONGEST_KEY, Datasets
from tracker_service.errors import ConfigError
from tracker_service.ledger.job_service import JobService, Source

_LONGEST_NAMES = LONGEST_KEY - len("/20060102")  #: characters of all that comes before the date


class _TargetDatasets(BaseModel):
    tmp: str = ""
    raw: str = ""
    join: str = ""


class _Source(BaseModel):
    # Gardener leaves out what it does not know, and so its files have more than this.
    model_config = ConfigDict(extra="ignore")

    bucket: str = ""
    experiment: str = ""
    datatype: str = ""
    filter: str = ""
    target_datasets: _TargetDatasets = _TargetDatasets()
    daily_only: bool = False
    full_history: bool = False

    @model_validator(mode="after")
    def _makes_keys(self) -> Self:
        names = f"{self.bucket}/{self.experiment}/{self.datatype}"
        if "\0" in names:
            raise ValueError("bucket, experiment or datatype has a NUL character")
        if len(names) > _LONGEST_NAMES:
            raise ValueError(
                "bucket, experiment and datatype have more than "
                f"{_LONGEST_NAMES - 2} characters together: {names[:80]}…"
            )
        return self

    def source(self) -> Source:
        if self.daily_only and self.full_history:
            raise ConfigError(
                f"invalid source date configuration: {self.experiment}/{self.datatype} has both "
                "daily_only and full_history; leave one out"
            )
        target = self.target_datasets
        return Source(
            bucket=self.bucket,
            experiment=self.experiment,
            datatype=self.datatype,
            filter=self.filter,
            datasets=Datasets(target.tmp, target.raw, target.join),
            daily_only=self.daily_only,
            full_history=self.full_history,
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    start_date: datetime | None = None
    sources: list[_Source] = Field(default_factory=list)

    @field_validator("start_date", mode="before")
    @classmethod
    def _midnight(cls, value: object) -> object:
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        return value


def load_sources(path: Path) -> JobService:
    """Read the sources of a ledger.

    Raises:
        ConfigError: the file cannot be used; the message names it.
    """
    try:
        return _service(_File.model_validate(_parsed(path) or {}))
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{path}: {'; '.join(faults)}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        parsed: Mapping[str, Any] = yaml.safe_load(path.read_text())
        return parsed
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read: {error}") from error


def _service(file: _File) -> JobService:
    start = file.start_date
    if start is None or start.year == 1:
        raise ConfigError("invalid start date: set start_date, for example 2019-08-01")
    if not file.sources:
        raise ConfigError("no configured jobs: list at least one under sources")
    aware = start.astimezone(UTC) if start.tzinfo else start.replace(tzinfo=UTC)
    midnight = aware.replace(hour=0, minute=0, second=0, microsecond=0)
    return JobService([source.source() for source in file.sources], midnight)
