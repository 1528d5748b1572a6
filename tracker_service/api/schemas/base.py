"""The base of all answers: how they spell names, instants and problems."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer


def _in_milliseconds(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds")


Instant = Annotated[
    datetime, PlainSerializer(_in_milliseconds, return_type=str), Field(description="RFC 3339")
]


class Schema(BaseModel):
    """A model whose names have dashes on the wire, unless a field has an alias of its own."""

    model_config = ConfigDict(
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )


class Problem(Schema):
    """The answer to a request that failed: RFC 9457, and two keys for older clients."""

    type: str = Field(default="about:blank", description="a URI that names the kind of problem")
    title: str = Field(description="the status in words")
    status: int = Field(description="of HTTP")
    detail: str = Field(description="what happened, and what you can do")
    message: str = Field(description="the same as `detail`")
    status_code: int = Field(alias="status_code", description="the same as `status`")
