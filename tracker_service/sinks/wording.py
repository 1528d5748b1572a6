"""Put an event of any type into words for people."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tracker_service.domain.events import TEST, CheckEventType, Event, EventType, LedgerEventType
from tracker_service.sinks.cloud_events import message_json
from tracker_service.sinks.sink import Message, Others
from tracker_service.sinks.words import Proof, Severity, Words, clipped

_LONGEST_SUBJECT = 160
_LONGEST_NAME = 60
_LONGEST_TEXT = 600
_MOST_PROOFS = 5
_MOST_LINKS = 10
_MOST_TROUBLES = 3  #: of the cluster
_MOST_REASONS = 3  #: why logs are missing
_SEVERITIES = {
    "SUCCEEDED": Severity.SUCCESS,
    "FAILED": Severity.WARNING,
    "KILLED": Severity.WARNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How events of one type are told."""

    severity: Severity
    sentence: Callable[[Event], str]
    commands: tuple[str, ...] = ()  #: `{id}` stands for the event's subject


def words_of(message: Message, base_url: str) -> Words:
    """Return the words of a message.

    Args:
        base_url: of this service; links begin with it.
    """
    event = message.kept.event
    kind = _KINDS.get(event.type, _OTHER)
    return Words(
        severity=_severity(event, kind),
        subject=_subject(event, kind, message.others),
        paragraphs=tuple(_paragraphs(event, kind, message.others)),
        proofs=tuple(_proofs(event)),
        links=tuple(_links(message, base_url)),
        commands=tuple(each.format(id=_id(event)) for each in kind.commands),
    )


def _severity(event: Event, kind: _Kind) -> Severity:
    if event.type == EventType.JOB_STATE_CHANGED:
        return _SEVERITIES.get(str(event.data.get("to")), kind.severity)
    return kind.severity


def _id(event: Event) -> str:
    return shlex.quote(clipped(event.subject, 255))


def _job(event: Event) -> str:
    return clipped(event.data.get("name") or event.subject, _LONGEST_NAME)


def _state_changed(event: Event) -> str:
    before, now = (clipped(event.data.get(name) or "?", 40) for name in ("from", "to"))
    return f"{_job(event)}: {now} (before: {before})"


def _executions(what: str) -> Callable[[Event], str]:
    """Return a sentence of what some executions of a Teraslice master do."""

    def sentence(event: Event) -> str:
        count = _number(event.data.get("count"))
        which = f"{count:,} executions" if count else f"Execution {event.subject} of {_job(event)}"
        return f"{which} {what} on {clipped(event.data.get('cluster'), _LONGEST_NAME)}"

    return sentence


def _of_another_room(event: Event) -> str:
    return f"{event.type}: {event.subject}"


def _unless_said(event: Event) -> str:
    return "" if _said(event) else f": {event.subject}"


_WHY, _LOGS = "tracker why {id}", "tracker logs {id}"
_KINDS: Mapping[str, _Kind] = {
    EventType.JOB_STATE_CHANGED: _Kind(severity=Severity.INFO, sentence=_state_changed),
    EventType.JOB_FAILED: _Kind(
        severity=Severity.FAILURE,
        sentence=lambda event: f"{_job(event)} failed",
        commands=(_WHY, _LOGS),
    ),
    EventType.LOGS_SAVED: _Kind(
        severity=Severity.SUCCESS,
        sentence=lambda event: f"The logs of {_job(event)} are saved",
        commands=(_LOGS,),
    ),
    EventType.LOGS_AT_RISK: _Kind(
        severity=Severity.WARNING,
        sentence=lambda event: f"The logs of {_job(event)} cannot be saved yet",
        commands=("tracker status {id}",),
    ),
    EventType.LOGS_LOST: _Kind(
        severity=Severity.FAILURE,
        sentence=lambda event: f"Logs of {_job(event)} are lost",
        commands=(_WHY, "tracker status {id}"),
    ),
    EventType.WAITS_FOR_CREDENTIALS: _Kind(
        severity=Severity.WARNING,
        sentence=lambda _: "Your jobs wait for a fresh credential",
        commands=("tracker login",),
    ),
    EventType.SCALING_LIMIT_HIT: _Kind(
        severity=Severity.WARNING,
        sentence=lambda _: "The tracker has too few workers: start another one",
    ),
    EventType.SCALING_LIMIT_OVER: _Kind(
        severity=Severity.SUCCESS, sentence=lambda _: "The tracker has enough workers again"
    ),
    EventType.CLUSTER_TROUBLE: _Kind(
        severity=Severity.FAILURE,
        sentence=lambda event: "It is the cluster, not you" + _unless_said(event),
    ),
    EventType.CLUSTER_TROUBLE_OVER: _Kind(
        severity=Severity.SUCCESS,
        sentence=lambda event: "The trouble of the cluster is over" + _unless_said(event),
    ),
    EventType.EXECUTION_APPEARED: _Kind(severity=Severity.INFO, sentence=_executions("appeared")),
    EventType.EXECUTION_VANISHED: _Kind(severity=Severity.INFO, sentence=_executions("vanished")),
    EventType.EXECUTION_FAILING_SLICES: _Kind(
        severity=Severity.WARNING, sentence=_executions("began to fail slices")
    ),
    LedgerEventType.FAILED: _Kind(
        severity=Severity.FAILURE, sentence=lambda event: f"{event.subject} failed"
    ),
    LedgerEventType.COMPLETED: _Kind(
        severity=Severity.SUCCESS, sentence=lambda event: f"{event.subject} is complete"
    ),
    LedgerEventType.EXPIRED: _Kind(
        severity=Severity.WARNING,
        sentence=lambda event: f"{event.subject} was without news for too long",
    ),
    CheckEventType.FAILED: _Kind(
        severity=Severity.FAILURE, sentence=lambda event: f"{event.subject} is down"
    ),
    CheckEventType.RECOVERED: _Kind(
        severity=Severity.SUCCESS, sentence=lambda event: f"{event.subject} is up again"
    ),
    CheckEventType.UNREACHABLE: _Kind(
        severity=Severity.WARNING, sentence=lambda event: f"no worker reaches {event.subject}"
    ),
    CheckEventType.REACHABLE: _Kind(
        severity=Severity.SUCCESS, sentence=lambda event: f"{event.subject} is reached again"
    ),
    TEST: _Kind(severity=Severity.INFO, sentence=lambda _: "A test message of the tracker"),
}
_OTHER = _Kind(severity=Severity.INFO, sentence=_of_another_room)


def _subject(event: Event, kind: _Kind, others: Others | None) -> str:
    suffix = f" (and {_counted(event, others)})" if others else ""
    sentence = kind.sentence(event)
    is_failure = event.type == EventType.JOB_FAILED
    if detail := _cause(event).get("summary") if is_failure else _said(event):
        sentence = f"{sentence}: {detail}"
    return clipped(sentence, _LONGEST_SUBJECT - len(suffix)) + suffix


def _counted(event: Event, others: Others) -> str:
    return f"{others.count} more, since {_since(others.since, event.time)}"


def _since(text: str, until: datetime) -> str:
    try:
        since = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return clipped(text, 40)
    is_same_day = since.date() == until.astimezone(UTC).date()
    return f"{since:%H:%M} UTC" if is_same_day else f"{since:%Y-%m-%d %H:%M} UTC"


def _paragraphs(event: Event, kind: _Kind, others: Others | None) -> Iterator[str]:
    yield f"{clipped(kind.sentence(event), _LONGEST_TEXT)}{_details(event)}."
    if others:
        yield f"And {_counted(event, others)}: they have failed in the same way."
    cause = _cause(event)
    if summary := cause.get("summary"):
        yield clipped(f"Why: {summary}", _LONGEST_TEXT)
    for trouble in _items(event.data.get("trouble"))[:_MOST_TROUBLES]:
        what = trouble.get("summary") or trouble.get("subject")
        yield clipped(f"It may be the cluster, not you: {what}", _LONGEST_TEXT)
    if hint := cause.get("hint"):
        yield clipped(f"What to do: {hint}", _LONGEST_TEXT)
    if said := _said(event):
        yield said
    yield from _state_of_logs(event)


def _details(event: Event) -> str:
    """Return, in brackets, which job and run of whom it is, and when it happened."""
    data = event.data
    facts = [
        clipped(event.subject, 255) if data.get("name") else "",
        f"run {clipped(data['run'], 10)}" if data.get("run") else "",
        f"user {clipped(data['user'], _LONGEST_NAME)}" if data.get("user") else "",
        f"{event.time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
    ]
    return f" ({', '.join(fact for fact in facts if fact)})"


def _cause(event: Event) -> Mapping[str, Any]:
    return _mapping(event.data.get("cause"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> list[Mapping[str, Any]]:
    return [_mapping(item) for item in value] if isinstance(value, list | tuple) else []


def _said(event: Event) -> str:
    """Return the sentence that an event itself brings along."""
    found = (event.data.get(name) for name in ("message", "reason", "summary"))
    return clipped(next((text for text in found if isinstance(text, str)), ""), _LONGEST_TEXT)


def _state_of_logs(event: Event) -> Iterator[str]:
    """Yield whether the logs of the run are safe, and why some are not."""
    logs = _mapping(event.data.get("logs"))
    wanted, saved, lost = (_number(logs.get(name)) for name in ("wanted", "saved", "lost"))
    if not wanted:
        return
    yield (
        f"Logs: {'all' if saved >= wanted and not lost else saved} of {wanted} saved"
        + (f", {lost} with losses" if lost else "")
        + "."
    )
    for missing in _items(logs.get("missing"))[:_MOST_REASONS]:
        application, reason = missing.get("application"), missing.get("reason")
        yield clipped(f"{application}: {reason or 'not saved yet'}", _LONGEST_TEXT)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _proofs(event: Event) -> Iterator[Proof]:
    for quote in _items(_cause(event).get("evidence"))[:_MOST_PROOFS]:
        yield Proof(place=_place(quote), text=clipped(quote.get("text"), _LONGEST_TEXT))


def _place(quote: Mapping[str, Any]) -> str:
    """Return where a quote stands: from the action down to the line."""
    line = quote.get("line")
    file = quote.get("file")
    parts = [
        f"action {quote['action']}" if quote.get("action") else None,
        quote.get("application"),
        quote.get("container"),
        (file if line is None else f"{file}:{line}") if file else None,
    ]
    place = ", ".join(str(part) for part in parts if part)
    return clipped(place or quote.get("source") or "", _LONGEST_TEXT)


def _links(message: Message, base_url: str) -> Iterator[tuple[str, str]]:
    """Yield names and URLs; all of them lead to this service."""
    links = _mapping(message_json(message, base_url)["data"].get("links"))
    for name, url in list(links.items())[-_MOST_LINKS:]:
        if url.startswith(f"{base_url}/") and url.isprintable() and " " not in url:
            yield clipped(name, _LONGEST_NAME), url
