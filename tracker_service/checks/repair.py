"""Repair what the grammar's own examples get wrong: a bare cron, and keys below a text."""

from __future__ import annotations

import re

_CRON = re.compile(r"^(\s*(?:-\s+)?cron_schedule:[ \t]+)([^'\"#\s][^#]*?)([ \t]+#.*|[ \t]*)$")
_PARENT = re.compile(r"^( *)(post_endpoint|post_service):[ \t]+([^\s#{\[|>&*!].*?)[ \t]*$")


def repaired(text: str) -> str:
    """Return a file of checks with two repairs; a file that needs none stays as it is.

    1. The value of `cron_schedule` is put in quotes: `*` begins an alias and `@` nothing in YAML.
    2. Keys that stand below `post_endpoint` or `post_service`, which has a value, go beside it.
    """
    lines = text.splitlines(keepends=True)
    return "".join(_beside(_quoted(lines)))


def _quoted(lines: list[str]) -> list[str]:
    return [_quote(line) for line in lines]


def _quote(line: str) -> str:
    body = line.rstrip("\r\n")
    end = line[len(body) :]
    if not (found := _CRON.match(body)):
        return line
    return f'{found[1]}"{found[2]}"{found[3]}{end}'


def _beside(lines: list[str]) -> list[str]:
    done: list[str] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        done.append(line)
        number += 1
        parent = _PARENT.match(line.rstrip("\r\n"))
        if not parent:
            continue
        level, shift = len(parent[1]), None
        while number < len(lines):
            below = lines[number]
            indent = len(below) - len(below.lstrip(" "))
            if below.strip() and indent <= level:
                break
            if below.strip():
                shift = indent - level if shift is None else shift
                below = below[min(shift, indent - level) :]
            done.append(below)
            number += 1
    return done
