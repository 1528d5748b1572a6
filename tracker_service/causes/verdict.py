"""Decide why a job failed, from the statements of its logs, YARN and Oozie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf

from tracker_service.causes.findings import Kind
from tracker_service.causes.fingerprint import fingerprint, normalised
from tracker_service.causes.roles import Role
from tracker_service.causes.rules import SPECIFIC, WRAPPER, Place, Rules
from tracker_service.causes.statements import Statement, statements
from tracker_service.domain.causes import Category, Cause, Quote, Retryable, Source
from tracker_service.domain.failures import Failure
from tracker_service.domain.jobs import Action, JobStatus

_MOST_QUOTES = 5
_LONGEST_SUMMARY = 400
_FORM = 30  #: a rule of less weight only knows that something is an error
_NEAR = 30  #: points between two causes that might be either
#: How often a card is right whose proof has this part in the end of the job; see `docs/causes.md`.
_SURE = {Role.END: 0.92, Role.OPEN: 0.82, Role.WARNING: 0.45, Role.SURVIVED: 0.2, Role.AFTER: 0.2}
#: Less where a rule knows no more than that a line complains, or only the form of an error.
_UNSURE = ((_FORM, 0.25), (SPECIFIC, 0.1), (inf, 0.0))
_FAILED = frozenset({"ERROR", "FAILED"})
_STOPPED = frozenset({"KILLED", "START_MANUAL", "END_MANUAL", "START_RETRY", "END_RETRY"})
_ENDED_BADLY = frozenset({JobStatus.KILLED, JobStatus.FAILED, JobStatus.DONEWITHERROR})
_STOPPING = (Category.KILLED_BY_USER, Category.PREEMPTED)
_LATEST = datetime.max.replace(tzinfo=UTC)
_EXIT = "exit"  #: the group of a pattern that holds an exit code


def cause_of(failure: Failure, rules: Rules) -> Cause | None:
    """Return why a job failed, as far as its logs, YARN and Oozie tell.

    Returns:
        None if it did not fail.
    """
    failing = failing_actions(failure.actions)
    if failure.status is JobStatus.SUCCEEDED:
        return None
    if failure.status not in _ENDED_BADLY and not failing:
        return None
    found = statements(failure, failing, rules)
    found += [*_of_exit_codes(found, rules)]
    ranked = sorted(found, key=lambda statement: statement.order, reverse=True)
    if _was_killed(failure, failing):
        ranked.sort(key=_stops, reverse=True)  # an error before the kill is not why it ended
        if not ranked or not _stops(ranked[0]):
            return _of_killed(failure, failing, ranked)
    if not ranked or not _explains(ranked[0]):
        return _of_unknown(failure, failing, ranked)
    return _of_best(failure, failing, ranked)


def failing_actions(actions: Sequence[Action]) -> list[Action]:
    """Return the actions by which a job failed, the likeliest first.

    Actions that run a sub-workflow, and control nodes, count only if nothing else has failed;
    actions that Oozie stopped because another one failed do not count beside that one.
    """
    bad = [action for action in actions if action.status in _FAILED | _STOPPED]
    for group in (
        [action for action in bad if action.status in _FAILED and not _is_outer(action)],
        [action for action in bad if not _is_outer(action)],
        [action for action in bad if action.type != ":KILL:"],
        [action for action in actions if action.error_code],
    ):
        if group:
            return sorted(group, key=lambda action: action.ended_at or _LATEST)
    return []


def _is_outer(action: Action) -> bool:
    return action.type == "sub-workflow" or action.type.startswith(":")


def _was_killed(failure: Failure, failing: Sequence[Action]) -> bool:
    """Tell whether somebody stopped the job: no action of it has failed by itself."""
    has_failed = any(action.status in _FAILED or action.error_code for action in failing)
    return failure.status is JobStatus.KILLED and not has_failed and not _has_kill_node(failure)


def _has_kill_node(failure: Failure) -> bool:
    return any(action.type == ":KILL:" for action in failure.actions)


def _stops(statement: Statement) -> bool:
    """Tell whether a line by itself says that the job was stopped."""
    return statement.rule is not None and statement.rule.category in _STOPPING


def _explains(statement: Statement) -> bool:
    return statement.rule is not None and statement.rule.weight >= WRAPPER


def _of_exit_codes(found: Sequence[Statement], rules: Rules) -> Iterator[Statement]:
    for statement in found:
        code = statement.groups.get(_EXIT, "")
        rule = rules.match(Place.EXIT_CODE, code.encode()) if code else None
        if rule is not None:
            groups = {**statement.groups, **rule.groups(code.encode())}
            yield replace(
                statement, rule=rule, groups=groups, score=float(rule.weight), role=Role.OPEN
            )


def _of_best(failure: Failure, failing: Sequence[Action], ranked: Sequence[Statement]) -> Cause:
    """Return the card that the best statement gives."""
    best, other = ranked[0], _other_story(ranked)
    rule = best.rule
    if rule is None:
        raise ValueError("a statement without a rule tells no cause")
    return Cause(
        category=rule.category,
        summary=_told(best, other)[:_LONGEST_SUMMARY],
        hint=rule.hint,
        retryable=rule.retryable,
        confidence=_confidence(best, other, is_complete=_is_complete(failure)),
        rule=rule.id,
        fingerprint=fingerprint(rule.id, best.quote.text),
        action=best.quote.action or _name(failing),
        error=_error(ranked),
        exit_code=_exit_code(ranked),
        evidence=_evidence([best, other, *ranked[1:]] if other else ranked),
        is_complete=_is_complete(failure),
    )


def _other_story(ranked: Sequence[Statement]) -> Statement | None:
    """Return the best statement of another kind of cause, if it might be the true one."""
    best = ranked[0]
    for other in ranked[1:]:
        if not _explains(other) or other.role not in (Role.END, Role.OPEN):
            continue
        if other.rule and best.rule and other.rule.category is best.rule.category:
            continue
        if _is_wrapper(other) or best.quote.text in other.quote.text:
            continue
        if best.score - other.score < _NEAR:
            return other
    return None


def _is_wrapper(statement: Statement) -> bool:
    return statement.finding is not None and statement.finding.kind is Kind.WRAPPER


def _told(best: Statement, other: Statement | None) -> str:
    """Return the sentence of the best statement, and of the other story if there is one."""
    sentences = [each.rule.summary_of(each.groups) for each in (best, other) if each and each.rule]
    return " Or else: ".join(sentences)


def _of_killed(failure: Failure, failing: Sequence[Action], ranked: Sequence[Statement]) -> Cause:
    """Return the card of a job that was stopped, whatever its programs wrote about that."""
    quote = Quote(source=Source.OOZIE, text=str(failure.status), action=_name(failing))
    return Cause(
        category=Category.KILLED_BY_USER,
        summary="The job was killed: no action of it had failed by then.",
        hint="Ask who killed it and why; run it again if that was a mistake.",
        retryable=Retryable.YES,
        confidence=0.8 if _is_complete(failure) else 0.6,
        rule="job-killed",
        fingerprint=fingerprint("job-killed", _name(failing) or ""),
        action=_name(failing),
        exit_code=_exit_code(ranked),
        evidence=(quote, *_evidence(ranked))[:_MOST_QUOTES],
        is_complete=_is_complete(failure),
    )


def _of_unknown(failure: Failure, failing: Sequence[Action], ranked: Sequence[Statement]) -> Cause:
    """Return the card of a failure that no rule knows: its last words, and its exit code."""
    code = _exit_code(ranked)
    ended = "" if code is None else f" with exit code {code}"
    last = ranked[0].quote.text.strip() if ranked and ranked[0].rule is None else None
    name = f"The action {_name(failing)}" if failing else "The job"
    words = f"; its last words: {last.rstrip('.')}." if last else ", and says nowhere why."
    return Cause(
        category=Category.APPLICATION_ERROR if last and code else Category.UNKNOWN,
        summary=f"{name} failed{ended}{words}"[:_LONGEST_SUMMARY],
        hint="Read the end of the log of its last container.",
        retryable=Retryable.UNKNOWN,
        confidence=0.3 if last and code else 0.1,
        rule="unknown",
        fingerprint=fingerprint("unknown", last or f"{_name(failing)} {code}"),
        action=_name(failing),
        error=last,
        exit_code=code,
        evidence=_evidence(sorted(ranked, key=lambda each: each.rule is not None)),
        is_complete=_is_complete(failure),
    )


def _is_complete(failure: Failure) -> bool:
    """Tell whether all logs are saved, and each was scanned for findings."""
    return failure.is_complete and all(witness.findings for witness in failure.witnesses)


def _name(failing: Sequence[Action]) -> str | None:
    return failing[0].name if failing else None


def _confidence(best: Statement, other: Statement | None, *, is_complete: bool) -> float:
    """Return how sure the cause is: by the part that its proof has in the end of the job."""
    weight = best.rule.weight if best.rule else 0
    unsure = next(less for most, less in _UNSURE if weight < most)
    sure = _SURE[best.role] - unsure
    if best.rule and best.rule.category is Category.UNKNOWN:
        sure = min(sure, 0.4)
    return round(max(sure - 0.35 * (other is not None) - 0.1 * (not is_complete), 0.05), 2)


def _error(ranked: Sequence[Statement]) -> str | None:
    """Return the deepest cause of the best stack trace."""
    for statement in ranked:
        if statement.finding and statement.finding.kind in (Kind.CAUSE, Kind.TRACEBACK):
            return statement.quote.text.strip().removeprefix("Caused by: ")
    return None


def _exit_code(ranked: Sequence[Statement]) -> int | None:
    codes = (statement.groups.get(_EXIT, "") for statement in ranked)
    return next((int(code) for code in codes if code.lstrip("-").isdigit()), None)


def _evidence(ranked: Sequence[Statement]) -> tuple[Quote, ...]:
    """Return the best lines; of lines that differ only in numbers and ids, the best one."""
    quotes: list[Quote] = []
    seen = set()
    for statement in ranked:
        key = normalised(statement.quote.text)
        if key not in seen and len(quotes) < _MOST_QUOTES:
            seen.add(key)
            quotes.append(statement.quote)
    return tuple(quotes)
