"""Replace what some database refuses in a text; logs and answers may have any characters."""

from __future__ import annotations

from typing import Any


def storable(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return a value of JSON without NUL and without halves of surrogate pairs."""
    if isinstance(value, dict):
        return {name: storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "?")
    return value
