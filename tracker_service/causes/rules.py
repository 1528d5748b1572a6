"""The rules that recognise causes: read from YAML files, and checked strictly."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tracker_service.causes.roles import Roles
from tracker_service.domain.causes import Category, Retryable
from tracker_service.errors import ConfigError
from tracker_service.regex import Pattern, Several, any_word, compiled, literal, text_of

_OWN = "rules.yml"
_MOST_RULES = 1000
_LONGEST_GROUP = 200  #: characters
_MOST_LINKS = 8  #: causes that one line names, of which the innermost are tried
TRACEBACK = b"Traceback (most recent call last):"
WRAPPER = 20  #: a rule of less weight only says that something else has failed
SPECIFIC = 50  #: a rule of less weight only knows the form of an error, not what it means
#: Where within a line the name of an inner exception begins.
_LINK = compiled(
    rb"(?:[:\[(=;>] ?|Reason: )(?P<link>(?:[a-zA-Z_][\w$]*\.)+[A-Z][\w$]*"
    rb"(?:Exception|Error|Failure|Throwable)\b)|(?P<cause>Caused by: (?:[a-zA-Z_]\w*\.)+[A-Z])"
)


class Place(StrEnum):
    """Where a rule looks."""

    LOG = "log"  #: each line of a log
    TRACEBACK = "traceback"  #: the last line of a Python traceback
    YARN = "yarn"  #: YARN's diagnostics of an application
    OOZIE = "oozie"  #: code and message that Oozie has of an action: `JA018: …`
    EXIT_CODE = "exit-code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a line that matches means."""

    id: str
    where: frozenset[Place]
    pattern: Pattern
    category: Category
    summary: str  #: one sentence, with the pattern's groups in braces
    hint: str
    retryable: Retryable
    weight: int  #: 1 to 100: how much it tells; what wraps other errors has less than 20

    def looks_at(self, place: Place) -> bool:
        """Tell whether it looks there; the last line of a traceback is a line of a log as well."""
        return place in self.where or (place is Place.TRACEBACK and Place.LOG in self.where)

    def groups(self, line: bytes) -> dict[str, str]:
        """Return what the named groups of the pattern hold in a line that it matches."""
        found = self.pattern.search(line)
        held = found.groupdict() if found else {}
        return {
            text_of(name): text_of(value)[:_LONGEST_GROUP]
            for name, value in held.items()
            if value is not None
        }

    def summary_of(self, groups: Mapping[str, str]) -> str:
        """Return the summary with the values of the groups in it.

        What stands in square brackets is left out where the line has no value for it.
        """
        values = {name: _trimmed(value) for name, value in groups.items()}
        names = list(_placeholders(self.summary))
        others = (value for name, value in values.items() if value and name not in names)
        value = next(others, "")  # a pattern may have a group for each wording
        shown = {**dict.fromkeys(names, value), **{n: v for n, v in values.items() if v}}
        parts = (_filled(part, shown) for part in re.split(r"\[([^\[\]]*)\]", self.summary))
        return _sentence("".join(parts))


def _trimmed(value: str) -> str:
    return value.strip().rstrip(".,:;")


def _filled(part: str, values: Mapping[str, str]) -> str:
    """Return a part of a summary with its values; nothing if one is missing."""
    lacks = any(not values.get(name) for name in _placeholders(part))
    return "" if lacks else part.format_map(values)


def _sentence(text: str) -> str:
    return re.sub(r"\s+([.,:;])", r"\1", " ".join(text.split())).rstrip(".:; ") + "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What every launcher prints and what proves nothing."""

    files: Pattern | None = None  #: names of files that are not looked at
    lines: Pattern | None = None
    before: Pattern | None = None  #: nothing in a file before such a line proves anything


@dataclass(frozen=True, slots=True)
class Found:
    """A rule, and the part of a line that it matches."""

    rule: Rule
    text: bytes

    @property
    def groups(self) -> dict[str, str]:
        """Return what the named groups of the rule's pattern hold."""
        return self.rule.groups(self.text)

    @property
    def says_something(self) -> bool:
        """Tell whether there is more than the name of an exception."""
        has_message = b"message" in self.rule.pattern.groupindex
        return not has_message or self.groups.get("message", "").strip() not in ("", "null")


def _links(line: bytes) -> list[int]:
    """Return where the causes within a line begin, the innermost first."""
    starts, at = [], 0
    while found := _LINK.search(line, at):
        starts.append(max(found.start(1), found.start(2)))
        at = found.end()
    return starts[: -_MOST_LINKS - 1 : -1]


class _Patterns:
    """The rules of one place, looked for all at once."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._patterns = Several([rule.pattern for rule in self._rules])

    def first(self, line: bytes) -> Rule | None:
        """Return the first rule that matches."""
        found = self._patterns.in_text(line)
        return self._rules[min(found)] if found else None


@dataclass(frozen=True)
class Rules:
    """All rules, ready for use; safe to share between threads."""

    rules: tuple[Rule, ...]
    noise: Noise = field(default_factory=Noise)
    roles: Roles = field(default_factory=Roles)
    #: a line of a log is looked at only if it has one of these, in small letters or capitals
    words: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()  #: and in the middle of a long file only if it has one of these

    @cached_property
    def by_id(self) -> dict[str, Rule]:
        """Return the rules by their ids."""
        return {rule.id: rule for rule in self.rules}

    @cached_property
    def _places(self) -> dict[Place, _Patterns]:
        return {
            place: _Patterns([rule for rule in self.rules if rule.looks_at(place)])
            for place in Place
        }

    def match(self, place: Place, line: bytes) -> Rule | None:
        """Return the rule that decides what a line means, None if no rule knows it."""
        found = self.find(place, line)
        return found.rule if found else None

    def find(self, place: Place, line: bytes) -> Found | None:
        """Return the rule that decides what a line means, and where in the line.

        Of the causes that a line names the innermost decides: the line of a driver also has the
        exception of its executor. A rule that only knows the form of an error gives way to one
        that knows what the line means, and a wrapper to both.
        """
        if self.is_noise(line):
            return None
        general = wrapper = None
        for start in dict.fromkeys((*_links(line), 0)):
            rule = self._places[place].first(line[start:])
            if rule is None:
                continue
            found = Found(rule, line[start:])
            if rule.weight >= SPECIFIC:
                return found
            if rule.weight < WRAPPER:
                wrapper = found
            elif general is None or not general.says_something:
                general = found
        return general or wrapper

    def is_noise(self, line: bytes) -> bool:
        """Tell whether every launcher prints such a line."""
        return self.noise.lines is not None and bool(self.noise.lines.search(line))

    def is_noisy_file(self, name: str) -> bool:
        """Tell whether files of this name prove nothing."""
        return self.noise.files is not None and bool(self.noise.files.search(name.encode()))

    def is_fresh_start(self, line: bytes) -> bool:
        """Tell whether nothing before this line in its file proves anything."""
        return self.noise.before is not None and bool(self.noise.before.search(line))

    @cached_property
    def telling(self) -> Pattern:
        """Return a pattern that finds each line of a log that a rule may match."""
        return any_word(self.words)

    @cached_property
    def marked(self) -> tuple[Pattern, ...]:
        """Return one pattern a mark: they are found far faster than `telling`, and find less."""
        return tuple(literal(mark.encode()) for mark in self.marks)


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _RuleShape(_Shape):
    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
    where: Annotated[tuple[Place, ...], Field(min_length=1)] = (Place.LOG, Place.YARN, Place.OOZIE)
    pattern: Annotated[str, Field(min_length=1, max_length=2000)]
    category: Category
    summary: Annotated[str, Field(min_length=1, max_length=300)]
    hint: Annotated[str, Field(min_length=1, max_length=500)]
    retryable: Retryable
    weight: Annotated[int, Field(ge=1, le=100)]
    example: Annotated[str, Field(min_length=1)]  #: a line that it matches

    @field_validator("retryable", mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        """Take YAML's `yes` and `no`, which it reads as true and false, for the words."""
        return {True: Retryable.YES, False: Retryable.NO}.get(value, value)  # type: ignore[call-overload]

    def compiled(self, telling: Pattern) -> Rule:
        pattern = compiled(self.pattern.encode())
        if not pattern.search(self.example.encode()):
            raise ValueError("the pattern does not match the example")
        if Place.LOG in self.where and not telling.search(self.example.encode()):
            raise ValueError("the example has none of the words by which lines are found: add one")
        unknown = set(_placeholders(self.summary)) - set(map(text_of, pattern.groupindex))
        if unknown:
            raise ValueError(f"summary: the pattern has no group {', '.join(sorted(unknown))}")
        return Rule(
            id=self.id,
            where=frozenset(self.where),
            pattern=pattern,
            category=self.category,
            summary=self.summary,
            hint=self.hint,
            retryable=self.retryable,
            weight=self.weight,
        )


_Word = Annotated[str, Field(min_length=2, max_length=40)]


class _NoiseShape(_Shape):
    files: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    before: tuple[str, ...] = ()


class _RolesShape(_Shape):
    ends: tuple[str, ...] = ()
    closes: tuple[str, ...] = ()
    survived: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    vague: tuple[str, ...] = ()


class _FileShape(_Shape):
    noise: _NoiseShape = _NoiseShape()
    roles: _RolesShape = _RolesShape()
    words: tuple[_Word, ...] = ()
    marks: tuple[_Word, ...] = ()
    rules: tuple[dict[str, Any], ...] = ()


#: Written in C, where there is one: each start of the service waits for it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_rules(extra: Sequence[Path] = ()) -> Rules:
    """Return the rules of this package and those of a site.

    Args:
        extra: files of the same form as the package's own; their rules come first.

    Raises:
        ConfigError: a file cannot be read or has something wrong; says which rule and what.
    """
    return _load(tuple(extra)) if extra else own_rules()


@cache
def own_rules() -> Rules:
    """Return the rules of this package; processes that are forked later share them."""
    return _load(())


def _load(extra: tuple[Path, ...]) -> Rules:
    own = Path(str(resources.files(__package__).joinpath(_OWN)))
    shapes = {path: _read(path) for path in (*extra, own)}
    words = _joined(shape.words for shape in shapes.values())
    rules: dict[str, Rule] = {}
    for path, shape in shapes.items():
        for rule in _rules_of(path, shape, any_word(words)):
            if rule.id in rules:
                raise ConfigError(f"{path}: rule {rule.id}: there is another rule of this id")
            rules[rule.id] = rule
    if len(rules) > _MOST_RULES:
        raise ConfigError(f"{', '.join(map(str, extra))}: more than {_MOST_RULES} rules in all")
    noises = [shape.noise for shape in shapes.values()]
    roles = [shape.roles for shape in shapes.values()]
    files = (f"^(?:{name})$" for name in _joined(noise.files for noise in noises))
    return Rules(
        tuple(rules.values()),
        Noise(
            files=_any_of(tuple(files)),
            lines=_any_of(_joined(noise.lines for noise in noises)),
            before=_any_of(_joined(noise.before for noise in noises)),
        ),
        Roles(
            **{
                name: _any_of(_joined(getattr(role, name) for role in roles))
                for name in _RolesShape.model_fields
            }
        ),
        words,
        _joined(shape.marks for shape in shapes.values()),
    )


def _joined(lists: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(lists)))


def _read(path: Path) -> _FileShape:
    try:
        content = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - both are safe
    except (OSError, yaml.YAMLError, UnicodeError) as error:
        raise ConfigError(f"{path}: cannot read the rules: {error}") from error
    try:
        shape = _FileShape.model_validate(content)
        for part in (shape.noise, shape.roles):
            for name in type(part).model_fields:
                _any_of(getattr(part, name))
    except (ValidationError, ValueError) as error:
        raise ConfigError(f"{path}: {_wrong(error)}") from error
    return shape


def _rules_of(path: Path, shape: _FileShape, telling: Pattern) -> Iterator[Rule]:
    for number, rule in enumerate(shape.rules, 1):
        try:
            yield _RuleShape.model_validate(rule).compiled(telling)
        except (ValidationError, ValueError) as error:
            name = f"rule {rule.get('id', f'number {number}')}"
            raise ConfigError(f"{path}: {name}: {_wrong(error)}") from error


def _wrong(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    reasons = (
        f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}" for item in error.errors()
    )
    return "; ".join(reasons)


def _any_of(patterns: Sequence[str]) -> Pattern | None:
    for pattern in patterns:
        compiled(pattern.encode())
    every = "|".join(f"(?:{pattern})" for pattern in patterns)
    return compiled(every.encode()) if patterns else None


def _placeholders(template: str) -> Iterator[str]:
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if not name.isidentifier() or spec or conversion:
            raise ValueError(f"summary: {{{name}}} is no name of a group")
        yield name
