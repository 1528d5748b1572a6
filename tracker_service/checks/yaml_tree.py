"""Read YAML 1.2 with the line of each key: no key stands twice, `on` and `12:30` are texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "null", "bool", "int", "float", "timestamp", "merge", "value")
}
_DEEPEST = 20  #: levels of one file
_LONGEST_NUMBER = 300  #: digits


class BadYaml(Exception):
    """A file that is no usable YAML: its rule, its line and what is wrong there."""

    def __init__(self, rule: str, line: int, message: str) -> None:
        super().__init__(message)
        self.rule, self.line, self.message = rule, line, message


class Mapping(dict[str, Any]):
    """A mapping that knows the line of each of its keys."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the top mapping of a file."""

    key: str
    line: int
    value: Any


def read(text: str) -> Iterator[Entry]:
    """Yield the entries of the top mapping of a file; an empty file has none.

    Raises:
        BadYaml: the text is no YAML, or has what this reader refuses.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadYaml("yaml", mark.line + 1 if mark else 1, _problem(error)) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise BadYaml("yaml", 1, str(error).splitlines()[0]) from error
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise BadYaml("top", root.start_mark.line + 1, "write one endpoint a key, as `host/path:`")
    seen = set[int]()
    known = dict[str, int]()
    for key, value in root.value:
        yield Entry(_key(key, known), key.start_mark.line + 1, _value(value, seen, 1))


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "this is no YAML"
    if "alias" in problem or "anchor" in problem or "alphabetic" in problem:
        return f"{problem}: put a text that begins with * or & in quotes"
    if "mapping values" in problem:
        return f"{problem}: keys below a key that has a value belong beside it"
    return problem


def _key(node: yaml.Node, known: dict[str, int]) -> str:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        raise BadYaml("key", line, "a key is a text")
    key = str(node.value)
    if key in known:
        raise BadYaml("duplicate", line, f"{key}: it stands on line {known[key]} already")
    known[key] = line
    return key


def _value(node: yaml.Node, seen: set[int], depth: int) -> Any:  # noqa: ANN401 (any type of YAML)
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, line)
    if id(node) in seen:
        raise BadYaml("alias", line, "write the value again: aliases are not read")
    if depth > _DEEPEST:
        raise BadYaml("depth", line, f"more than {_DEEPEST} levels")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, seen, depth + 1) for each in node.value]
    found = Mapping()
    for key, value in node.value:
        name = _key(key, found.lines)
        found[name] = _value(value, seen, depth + 1)
    return found


def _scalar(node: yaml.ScalarNode, line: int) -> object:
    text = str(node.value)
    if node.tag not in _TAGS:
        raise BadYaml("tag", line, f"{node.tag}: tags are not read")
    if node.style:
        return text
    word = text.lower() if text in (text.lower(), text.upper(), text.capitalize()) else text
    if word in _WORDS:
        return _WORDS[word]
    if len(text) < _LONGEST_NUMBER:
        if _INT.match(text):
            return int(text)
        if _FLOAT.match(text):
            return float(text)
    return text
