"""Read the files of checks: a bad file is left out whole, and its last good version stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from tracker_service.checks.check import Check, SelfReport
from tracker_service.checks.grammar import SELF, BadCheck, Secrets, check_of, self_of
from tracker_service.checks.repair import repaired
from tracker_service.checks.yaml_tree import BadYaml, read

log = structlog.get_logger()

_LARGEST_FILE = 16 * 1024**2  #: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a file is not used."""

    rule: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Source:
    """How a check is written, and what others need to know of it."""

    key: str  #: the endpoint
    raw: str = field(repr=False)  #: the rest, as JSON
    url: str
    cron: str
    tags: tuple[str, ...]
    target: SelfReport  #: where its results go

    @classmethod
    def of(cls, key: str, value: object, check: Check) -> Source:
        """Return the source of a check."""
        target = SelfReport(post=check.post, put=check.put)
        schedule = check.schedule
        return cls(key, json.dumps(value), check.request.url, schedule.cron, check.tags, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """What is in a file."""

    name: str
    checks: tuple[Check, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)  #: by the names of the checks
    report: SelfReport | None = None
    fault: Fault | None = None
    was_repaired: bool = False


def read_file(name: str, text: str, secrets: Secrets, *, is_lenient: bool = False) -> ReadFile:
    """Read one file, whole or not at all.

    Args:
        is_lenient: repair what `repaired` can repair.
    """
    found = _read(name, text, secrets)
    if found.fault and is_lenient and (better := repaired(text)) != text:
        found = _read(name, better, secrets, was_repaired=True)
    return found


def _read(name: str, text: str, secrets: Secrets, *, was_repaired: bool = False) -> ReadFile:
    checks, sources = list[Check](), dict[str, Source]()
    report, lines = None, dict[str, int]()
    try:
        for entry in read(text):
            if entry.key == SELF:
                report = self_of(entry.value, entry.line, secrets)
                continue
            check = check_of(entry.key, entry.value, entry.line, secrets)
            if check is None:
                continue
            if check.name in lines:
                message = (
                    f"{check.name}: line {lines[check.name]} has this name already; "
                    "give one of them another name"
                )
                raise BadCheck("duplicate", entry.line, message)
            lines[check.name] = entry.line
            checks.append(check)
            sources[check.name] = Source.of(entry.key, entry.value, check)
    except (BadYaml, BadCheck) as error:
        return ReadFile(name=name, fault=Fault(error.rule, error.line, error.message))
    return ReadFile(
        name=name,
        checks=tuple(checks),
        sources=sources,
        report=report,
        was_repaired=was_repaired,
    )


class Directories:
    """The files of some directories; only those that have changed are read again."""

    def __init__(
        self, directories: Sequence[Path], secrets: Secrets, *, is_lenient: bool = False
    ) -> None:
        self._directories, self._secrets, self._is_lenient = directories, secrets, is_lenient
        self._known: dict[str, tuple[tuple[int, int], ReadFile]] | None = None  # None: not read
        self._warned = set[str]()

    def changed(self) -> list[ReadFile] | None:
        """Return all files in the order of their names; None if nothing has changed."""
        found = {str(path): _version(path) for path in self._paths()}
        before = self._known or {}
        is_read = self._known is not None
        if is_read and {name: version for name, (version, _) in before.items()} == found:
            return None
        self._known = {
            name: known
            if (known := before.get(name)) and known[0] == version
            else (version, self._read(Path(name)))
            for name, version in found.items()
        }
        return _without_doubles([file for _, file in self._known.values()])

    def forget(self) -> None:
        """Read all files again the next time: a secret may have changed."""
        self._known = None

    def _paths(self) -> Iterator[Path]:
        for directory in self._directories:
            try:
                paths = sorted(directory.iterdir())
            except OSError as error:
                self._warn(str(directory), f"cannot be read: {error.strerror}")
                continue
            for path in paths:
                if path.suffix == ".yaml":
                    self._warn(str(path), "is left out: name it .yml")
                if path.suffix == ".yml" and path.is_file():
                    yield path

    def _warn(self, name: str, reason: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            log.warning("checks_file_left_out", file=name, reason=reason)

    def _read(self, path: Path) -> ReadFile:
        name = str(path)
        try:
            if path.stat().st_size > _LARGEST_FILE:
                fault = Fault("size", 1, f"more than {_LARGEST_FILE} bytes")
                return ReadFile(name=name, fault=fault)
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            return ReadFile(name=name, fault=Fault("file", 1, str(error)))
        found = read_file(name, text, self._secrets, is_lenient=self._is_lenient)
        return replace(found, checks=())  # 10,000 of them take room, and nobody needs them here


def _version(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _without_doubles(files: Sequence[ReadFile]) -> list[ReadFile]:
    """Refuse a file with a check whose name an earlier file has."""
    owners, kept = dict[str, str](), list[ReadFile]()
    for file in files:
        double = next((name for name in file.sources if name in owners), None)
        if double is not None:
            message = f"{double}: {owners[double]} has it too; give one of them another name"
            kept.append(ReadFile(name=file.name, fault=Fault("duplicate", 1, message)))
            continue
        owners |= dict.fromkeys(file.sources, file.name)
        kept.append(file)
    return kept


def raw_check(key: str, raw: str, secrets: Secrets) -> Check | None:
    """Return a check as it was read from a file, with the secrets of this machine.

    Raises:
        BadCheck: this machine lacks a secret, or the grammar of this release is another one.
    """
    return check_of(key, json.loads(raw), 1, secrets)
