"""Reasons why tasks and copies wait or have ended: a code for programs, a text for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Code = TypeVar("Code", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Reason(Generic[Code]):
    """A reason; nothing compares its sentence, which may be worded anew in any release."""

    code: Code
    text: str
