"""Small rules and logs for the tests of causes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tracker_service.archive.formats.node_file import Log
from tracker_service.archive.formats.yarn_text import as_text
from tracker_service.causes.findings import Finding, Findings
from tracker_service.causes.rules import Noise, Place, Rule, Rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.causes import Category, Retryable
from tracker_service.regex import compiled

_MODIFIED = datetime(2026, 11, 22, 4, 12, 46, tzinfo=UTC)
APP = ApplicationId("application_1795577930939_0007")
CONTAINER = "container_1795577930939_0007_01_000001"
LOG = frozenset({Place.LOG, Place.YARN, Place.OOZIE})


def rule(name: str, pattern: str, weight: int = 50, **more: Any) -> Rule:
    facts: dict[str, Any] = {
        "where": LOG,
        "category": Category.APPLICATION_ERROR,
        "summary": f"It is {name}.",
        "hint": "Mend it.",
        "retryable": Retryable.NO,
        **more,
    }
    return Rule(id=name, pattern=compiled(pattern.encode()), weight=weight, **facts)


RULES = Rules(
    (
        rule("reflection", "InvocationTargetException|LauncherMainException$", 3),
        rule(
            "denied", "Permission denied: user=(?P<user>[a-z]+)", 90, category=Category.PERMISSION
        ),
        rule("memory", "OutOfMemoryError", 90, category=Category.MEMORY),
        rule(
            "java", r"^(?:Caused by: |Exception in thread \"[^\"]*\" )?(?:\w+\.)+\w+Exception\b", 30
        ),
        rule("python", r"^(?P<class>[\w.]+)(?::|$)", 30, where=frozenset({Place.TRACEBACK})),
        rule("error", r"\b(?:ERROR|FATAL)\b", 20),
        rule("main-class", r"Main Class \[[^\]]*\], exit code \[(?P<exit>\d+)\]", 5),
        rule("shell", r"^Exit code of the Shell command (?P<exit>[1-9]\d*)", 10),
        rule(
            "killed",
            "killed by user (?P<user>[a-z]+)",
            90,
            where=frozenset({Place.YARN}),
            category=Category.KILLED_BY_USER,
        ),
        rule(
            "sigkill",
            "^137$",
            40,
            where=frozenset({Place.EXIT_CODE}),
            category=Category.MEMORY,
        ),
    ),
    Noise(
        files=compiled(rb"^directory\.info$"),
        lines=compiled(rb"^SLF4J:"),
        before=compiled(b"^>>> Invoking"),
    ),
    words=(
        *("Exception", "ERROR", "FATAL", "denied", "OutOfMemory", "exit code", "Traceback"),
        "invoking",
    ),
    marks=("Exception", "ERROR", "Traceback"),
)


def a_log(content: str | bytes, name: str = "stderr", **more: Any) -> Log:
    data = content.encode() if isinstance(content, str) else content
    facts: dict[str, Any] = {
        "container": CONTAINER,
        "length": len(data),
        "content": iter([data]),
        **more,
    }
    return Log(name=name, modified_at=_MODIFIED, **facts)


def text_of(*logs: Log, node: str = "node1_8041") -> bytes:
    return b"".join(as_text(node, logs))


def scanned(text: bytes | Iterable[bytes], rules: Rules = RULES) -> Findings:
    scanner = Scanner(rules)
    for _ in scanner.of([text] if isinstance(text, bytes) else text):
        pass
    return scanner.findings


def found(content: str, name: str = "stderr", **more: object) -> tuple[Finding, ...]:
    return scanned(text_of(a_log(content, name, **more))).lines


def proper(lines: Iterable[Finding]) -> list[tuple[str, int, str]]:
    """Return rule, line and kind of what a rule knows."""
    return [(line.rule, line.line, str(line.kind)) for line in lines if line.rule]
