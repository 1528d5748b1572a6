"""Why something waits or has ended: a code to decide by, and a sentence for people."""

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
