"""The input of clients: ids in paths, and parameters of queries."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from tracker_service.domain.applications import SHORT_ID_PATTERN, ApplicationId, from_short
from tracker_service.domain.causes import Category
from tracker_service.domain.jobs import REFERENCE_PATTERN, JobId, JobStatus
from tracker_service.domain.log_levels import LevelName
from tracker_service.domain.users import MAX_USER_BYTES
from tracker_service.domain.written_ids import EXAMPLE, read_ids
from tracker_service.store.failure_groups import PageCursor

MAX_BODY_BYTES = 1024 * 1024
MAX_IDS = 10_000
MAX_PAGE = 10_000
MAX_FAMILIES = 500  #: on one page

_APPLICATION_EXAMPLE = "1529519049029_420001"


def _job_id(text: str) -> JobId:
    ids = read_ids(text)
    if len(ids) != 1:
        raise ValueError(
            f"{text[:100]!r} is not shaped like an Oozie job id: it names {len(ids) or 'no'} jobs"
        )
    return ids[0].id


def _application_id(text: str) -> ApplicationId:
    found = from_short(text)
    if found is None:
        raise ValueError(f"{text[:100]!r} is no application id ({_APPLICATION_EXAMPLE})")
    return found


def _true_or_false(text: object) -> object:
    if text not in ("true", "false"):
        raise ValueError("send true or false")
    return text == "true"


JOB_ID_SCHEMA = {"type": "string", "pattern": f"^{REFERENCE_PATTERN}$", "example": EXAMPLE}

PathJobId = Annotated[str, AfterValidator(_job_id), WithJsonSchema(JOB_ID_SCHEMA)]
NamedApplication = Annotated[
    str,
    AfterValidator(_application_id),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^(application_)?{SHORT_ID_PATTERN}$",
            "example": _APPLICATION_EXAMPLE,
        }
    ),
]
Flag = Annotated[bool, BeforeValidator(_true_or_false), WithJsonSchema({"type": "boolean"})]


def _instant(text: object) -> datetime:
    # A client that does not escape `+` sends a space.
    escaped = str(text)[:11] + str(text)[11:].replace(" ", "+")
    try:
        instant = datetime.fromisoformat(escaped)
    except ValueError:
        instant = datetime.min
    if instant.tzinfo is None:
        raise ValueError("send a time with its zone (RFC 3339), such as 2026-11-26T02:10:00Z")
    return instant


SentInstant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "example": "2026-11-26T02:10:00Z"},
    ),
]

_CURSOR = re.compile(r"([0-9]{1,14})-([0-9A-Za-z_.:-]{1,64})")
_EPOCH = datetime.fromtimestamp(0, UTC)


def cursor_text(cursor: PageCursor) -> str:
    """Return the text of a cursor, as the parameter `cursor` takes it."""
    return f"{round(cursor.last_at.timestamp() * 1000)}-{cursor.fingerprint}"


def _cursor(text: object) -> PageCursor:
    found = _CURSOR.fullmatch(str(text))
    if found is None:
        raise ValueError("send what the header `Link` of the answer before says")
    return PageCursor(_EPOCH + timedelta(milliseconds=int(found[1])), found[2])


SentCursor = Annotated[
    PageCursor,
    BeforeValidator(_cursor),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,14}-[0-9A-Za-z_.:-]{1,64}$"}),
]

# All of them have to fit into one request line.
_USUAL_SEEN = r"container_[0-9]{8,20}_[0-9]{4,6}_[0-9]{2}_[0-9]{6}/[a-z.-]{1,20}:[0-9]{1,12}"
_MOST_SEEN = 64
_SEEN_PATTERN = r"container_[0-9A-Za-z_]{1,90}/[^/]{1,255}:[0-9]{1,18}"


def _seen_part(text: str) -> str:
    if not re.fullmatch(_SEEN_PATTERN, text):
        raise ValueError(f"{text[:100]!r}: send container/file:bytes")
    return text


SeenPart = Annotated[
    str,
    AfterValidator(_seen_part),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{_USUAL_SEEN}$",
            "example": "container_1529519049029_0001_01_000001/stderr:4096",
        }
    ),
]

_FILTER = re.compile(r"([A-Za-z]+=[^;=]+(;[A-Za-z]+=[^;=]+)*;?)?")


def _oozie_filter(text: str) -> str:
    if not _FILTER.fullmatch(text):
        raise ValueError("send names and values as in status=KILLED;user=guest")
    return text


# Oozie takes more than this; it refuses the rest itself.
_USUAL_TERM = (
    r"((name|user|group|id)=[A-Za-z0-9 _.@-]+"
    r"|status=(PREP|RUNNING|SUSPENDED|SUCCEEDED|KILLED|FAILED))"
)
OozieFilter = Annotated[
    str,
    AfterValidator(_oozie_filter),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^({_USUAL_TERM}(;{_USUAL_TERM})*;?)?$",
            "maxLength": 2000,
            "example": "status=KILLED;user=guest",
        }
    ),
]


class JobPath(BaseModel):
    """A path that names a job."""

    job_id: PathJobId


class ApplicationPath(JobPath):
    """A path that names an application of a job."""

    application: NamedApplication


class Query(BaseModel):
    """Parameters of a query; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def model_json_schema(cls, *given: Any, **named: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the schema; the plain one, which each request asks for, is made once."""
        if given or named:
            return super().model_json_schema(*given, **named)
        return cls._plain_schema()

    @classmethod
    @cache
    def _plain_schema(cls) -> dict[str, Any]:
        return super().model_json_schema()


class RefreshQuery(Query):
    """Whether to ask Oozie now."""

    refresh: Flag = Field(False, description="ask Oozie now")


class JobsetsQuery(Query):
    """Which jobsets."""

    worker: str | None = Field(None, max_length=64, description="only those that it holds")


class TeraslicePageQuery(Query):
    """Which Teraslice masters."""

    cluster: str | None = Field(None, max_length=100, description="only the master of this name")


class TrackQuery(Query):
    """Which jobs' logs are saved."""

    copies: Literal["always"] | None = Field(
        None,
        alias="copy",
        description="`always`: however a job ends; without it: of those that do not succeed",
    )


class CopyLogsQuery(Query):
    """Whether to copy saved logs again."""

    refresh: Flag = Field(False, description="copy again what is saved already")


class LogQuery(Query):
    """Which part of one log, and in which form."""

    container: str | None = Field(
        None, pattern=r"^container_[0-9A-Za-z_]+$", max_length=100, description="files of this one"
    )
    file: str | None = Field(
        None, min_length=1, max_length=255, description="files of this name, such as `stderr`"
    )
    tail: int | None = Field(None, ge=1, le=100_000, description="the last lines of what is chosen")
    first: int | None = Field(
        None, alias="from", ge=1, le=2**53, description="the first line of what is chosen, from 1"
    )
    lines: int | None = Field(None, ge=1, le=2**53, description="how many lines")
    grep: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="lines in which this is found: RE2, https://github.com/google/re2/wiki/Syntax",
        json_schema_extra={"example": "Caused by:"},
    )
    level: LevelName | None = Field(None, description="lines logged at this level and above")
    context: int | None = Field(
        None, ge=0, le=50, description="with `grep` or `level`: lines around each line found"
    )
    limit: int | None = Field(
        None, ge=1, le=100_000, description="with `grep` or `level`: lines found, at most; 1000"
    )
    format: Literal["text", "json"] = Field("text", description="`json`: one object a line")
    live: Flag = Field(False, description="what a running application has written until now")
    seen: list[SeenPart] = Field(
        [],
        max_length=_MOST_SEEN,
        description="with `live`: bytes of files that you have: they are left out",
    )


class LogsQuery(Query):
    """Which logs."""

    id: list[NamedApplication] = Field([], description="applications; without any: all")

    @model_validator(mode="before")
    @classmethod
    def _of_one_log(cls, given: dict[str, object]) -> dict[str, object]:
        names = {field.alias or name for name, field in LogQuery.model_fields.items()}
        if misplaced := sorted(names & set(given)):
            raise ValueError(
                f"{', '.join(misplaced)}: ask for one application's log, at "
                "/api/job/<job id>/logs/<application>"
            )
        return given


class CopyStatusQuery(Query):
    """Whether to read saved logs back."""

    verify: Flag = Field(False, description="read the logs back and compare their checksums")
    id: list[NamedApplication] = Field(
        [], description="with `verify`: applications; without any: all"
    )


class TrackingQuery(Query):
    """Which tracked jobs."""

    status: list[JobStatus] = Field([], description="only jobs in one of these states")
    user: str | None = Field(
        None, max_length=MAX_USER_BYTES, description="admins only: whose jobs; `*` for everybody's"
    )
    limit: int = Field(MAX_PAGE, ge=1, le=MAX_PAGE, description="jobs in one answer")
    cursor: int = Field(
        0, ge=0, le=2**53, description="from the header `Link` of the answer before"
    )


class FailuresQuery(Query):
    """Which failures."""

    since: SentInstant | None = Field(None, description="failures before do not count")
    category: Category | None = None
    limit: int = Field(100, ge=1, le=MAX_FAMILIES, description="families in one answer")
    cursor: SentCursor | None = Field(
        None, description="from the header `Link` of the answer before"
    )


class OozieJobsQuery(Query):
    """Parameters that are passed on to Oozie."""

    offset: int | None = Field(None, ge=1, le=2**31 - 1, description="of the first job, from 1")
    len: int | None = Field(None, ge=1, le=MAX_PAGE, description="jobs in one answer")
    filter: OozieFilter | None = Field(None, max_length=2000)
    jobtype: Literal["wf", "coord", "coordinator", "bundle"] | None = None

    def given(self) -> dict[str, str]:
        """Return the parameters that the caller has sent."""
        return {name: str(value) for name, value in self.model_dump(exclude_none=True).items()}
