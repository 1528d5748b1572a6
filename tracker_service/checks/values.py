"""Find values in JSON, compare them, and fill them into templates; nothing is evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from tracker_service import regex

_STEP = re.compile(r"([^.\[\]]+)|\[(-?[0-9]{1,9})\]")
_WHOLE = re.compile(
    r"[^.\[\]]+(\[-?[0-9]{1,9}\])*(\.[^.\[\]]+(\[-?[0-9]{1,9}\])*)*|(\[-?[0-9]{1,9}\])+.*"
)
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_MISSING = object()
_JMES = "jmes:"
Json = Any  # what JSON has


@dataclass(frozen=True, slots=True)
class Path:
    """A place in JSON: names with dots between them, and `[number]` for items of a list."""

    text: str
    steps: tuple[str | int, ...]

    @classmethod
    def of(cls, text: str) -> Path:
        """Read a path such as `items[0].state`.

        Raises:
            ValueError: it is none.
        """
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"{text!r} is no path such as items[0].state")
        steps = (name or int(number) for name, number in _STEP.findall(text))
        return cls(text, tuple(steps))

    def find(self, value: Json) -> tuple[bool, Json]:
        """Return whether a value is there, and the value; a key with dots in it comes first."""
        if isinstance(value, Mapping) and self.text in value:
            return True, value[self.text]
        for step in self.steps:
            value = _step(value, step)
            if value is _MISSING:
                return False, None
        return True, value


@dataclass(frozen=True, slots=True)
class JmesPath:
    """A question to JSON, see https://jmespath.org/specification.html; `null` is no answer."""

    text: str
    expression: Any = field(compare=False, repr=False)  #: compiled

    @classmethod
    def of(cls, text: str) -> JmesPath:
        """Read an expression.

        Raises:
            ValueError: it is none.
        """
        try:
            return cls(text, jmespath.compile(text))
        except JMESPathError as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{text!r} is no JMESPath: {reason}") from error

    def find(self, value: Json) -> tuple[bool, Json]:
        """Return whether there is an answer, and the answer."""
        try:
            found = self.expression.search(value)
        except JMESPathError:  # a function that does not take what is there
            found = None
        return found is not None, found


AnyPath = Path | JmesPath


def path_of(text: str) -> AnyPath:
    """Read a path, or an expression of JMESPath that begins with `jmes:`.

    Raises:
        ValueError: it is none.
    """
    return JmesPath.of(text.removeprefix(_JMES)) if text.startswith(_JMES) else Path.of(text)


def _step(value: Json, step: str | int) -> Json:
    if isinstance(step, str):
        return value.get(step, _MISSING) if isinstance(value, Mapping) else _MISSING
    is_there = isinstance(value, list) and -len(value) <= step < len(value)
    return value[step] if is_there else _MISSING


def canonical(value: Json) -> str:
    """Return a value as a text: `true`, `1`, `null`, or the text itself."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def is_equal(found: Json, wanted: Json, *, coerce: bool = False) -> bool:
    """Tell whether two values are equal, which a text and a number only are with `coerce`."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return isinstance(found, bool) and isinstance(wanted, bool) and found == wanted
    if coerce:
        return canonical(found) == canonical(wanted)
    is_number = isinstance(found, int | float) and isinstance(wanted, int | float)
    return (is_number or type(found) is type(wanted) or found is wanted) and bool(found == wanted)


def _ordered(compare: Callable[[Json, Json], bool]) -> Callable[[Json, Json, bool], bool]:
    def test(found: Json, wanted: Json, _coerce: bool) -> bool:
        kinds = [(int, float), (str,)]
        return any(
            isinstance(found, kind) and isinstance(wanted, kind) and not isinstance(found, bool)
            for kind in kinds
        ) and compare(found, wanted)

    return test


def _matches(found: Json, wanted: Json, _coerce: bool) -> bool:
    pattern = regex.exact(str(wanted).encode())
    return pattern.search(canonical(found).encode("utf-8", "replace")) is not None


OPERATORS: Mapping[str, Callable[[Json, Json, bool], bool]] = {
    "eq": lambda found, wanted, coerce: is_equal(found, wanted, coerce=coerce),
    "ne": lambda found, wanted, coerce: not is_equal(found, wanted, coerce=coerce),
    "lt": _ordered(lambda a, b: a < b),
    "le": _ordered(lambda a, b: a <= b),
    "gt": _ordered(lambda a, b: a > b),
    "ge": _ordered(lambda a, b: a >= b),
    "in": lambda found, wanted, coerce: any(is_equal(found, w, coerce=coerce) for w in wanted),
    "regex": _matches,
    "exists": lambda _found, _wanted, _coerce: True,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessTest:
    """One thing that must hold for a check to succeed."""

    path: AnyPath
    op: str
    value: Json
    coerce: bool = False

    def fault(self, values: Mapping[str, Json], body: Json) -> str | None:
        """Return why the test does not hold; None if it holds.

        Args:
            values: that are built in, such as `latency_ms`; those of the answer come first.
        """
        is_there, found = self.path.find(body)
        if not is_there and self.path.text in values:
            is_there, found = True, values[self.path.text]
        if self.op == "exists":
            wanted = self.value is not False
            return None if is_there == wanted else f"{self.path.text} is {_there(is_there)}"
        if not is_there:
            return f"{self.path.text} is not in the answer"
        if OPERATORS[self.op](found, self.value, self.coerce):
            return None
        return f"{self.path.text} is {canonical(found)!r:.100}, not {self.op} {self.value!r:.100}"


def _there(is_there: bool) -> str:
    return "in the answer" if is_there else "not in the answer"


@dataclass(slots=True)
class Filling:
    """Fills values into a template, and counts the names that have none."""

    values: Mapping[str, Json]
    unknown: int = 0

    def fill(self, template: Json, key: str = "") -> Json:
        """Return a template of YAML with its values: `{name}` in a text, `{name}` unquoted as such.

        Items of a list named `tags` that are a name and a value become `name:value`, as Datadog
        takes them.
        """
        if isinstance(template, str):
            return self._text(template)
        if isinstance(template, Mapping):
            if (name := placeholder(template)) is not None:
                return self._value(name)
            return {str(self._text(k)): self.fill(v, k) for k, v in template.items()}
        if isinstance(template, Sequence):
            items = [self.fill(item) for item in template]
            return [_tag(item) for item in items] if key == "tags" else items
        return template

    def _value(self, name: str) -> Json:
        if name not in self.values:
            self.unknown += 1
        return self.values.get(name)

    def _text(self, text: str) -> str:
        def put(found: re.Match[str]) -> str:
            if found[0] in ("{{", "}}"):
                return found[0][0]
            return canonical(self._value(found[1].strip()))

        return _PLACE.sub(put, text)


def placeholder(template: Mapping[str, Json]) -> str | None:
    """Return the name in `{name}`, which YAML reads as a mapping without a value."""
    if len(template) != 1:
        return None
    [(name, value)] = template.items()
    return name if value is None else None


def _tag(item: Json) -> Json:
    if isinstance(item, Mapping) and len(item) == 1:
        [(name, value)] = item.items()
        return f"{name}:{canonical(value)}"
    return item
