"""Gather what logs, YARN and Oozie say about a failure, and how much each word of it tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tracker_service.causes.findings import LONGEST_TEXT, Finding, Findings, Kind
from tracker_service.causes.rules import Place, Rule, Rules
from tracker_service.causes.scan.traces import SHELL_OUTPUT, WRAPPER, rank
from tracker_service.domain.applications import Application, ApplicationId
from tracker_service.domain.causes import Quote, Source
from tracker_service.domain.jobs import Action, JobId, JobStatus

_MOST_LINES = 200  #: of a text of YARN's or Oozie's
_LAST = 4  #: more for the last error of a file
_CHILD = 2  #: more for what a launcher started
_FINAL = 2  #: more for YARN's word, which it says when all is over
_TAIL = 18  #: for a program's last words: more than any wrapper, less than any rule proper
_OUTPUT = 4  #: for words that no rule knows and that may be no complaint
_BY_KILL_NODE = "E0729"  #: the code of each workflow that ended in a kill node: it says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureEvidence:
    """What is known of a run of a job that did not succeed."""

    job_id: JobId
    status: JobStatus
    actions: Sequence[Action]  #: of the job and of its sub-workflows
    diagnostics: Mapping[ApplicationId, str] = field(default_factory=dict)  #: YARN's
    applications: Sequence[Application] = ()
    findings: Mapping[ApplicationId, Findings] = field(default_factory=dict)
    is_complete: bool = True  #: False while logs are still to come, or some could not be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One line that somebody said."""

    quote: Quote
    rule: Rule | None
    groups: Mapping[str, str]
    score: float
    finding: Finding | None = None
    turn: int = 0  #: greater for what was said later, by another application of the action

    @property
    def order(self) -> tuple[float, int, int, int]:
        """Return by what the best statement is the greatest.

        Of equal ones it is that of the last try, and there the last in its log.
        """
        depth = self.finding.depth if self.finding else 0
        return self.score, depth, self.turn, self.quote.offset or 0


def statements(
    failure: FailureEvidence, failing: Sequence[Action], rules: Rules
) -> list[Statement]:
    """Return what was said about the actions that failed; about everything if none is known."""
    concerned = [
        each
        for each in failure.applications
        if any(action.id == f"{each.workflow_id}@{each.action}" for action in failing)
    ]
    found = [*_of_oozie(failing or failure.actions, rules)]
    for turn, application in enumerate(sorted(concerned or failure.applications, key=_number), 1):
        said = *_of_yarn(failure, application, rules), *_of_log(failure, application, rules)
        found += [replace(each, turn=turn) for each in said]
    return found


def _number(application: Application) -> tuple[int, int]:
    """Return what is greater for an application that started later."""
    _, started, sequence = application.id.split("_")
    return int(started), int(sequence)


def _of_log(
    failure: FailureEvidence, application: Application, rules: Rules
) -> Iterator[Statement]:
    findings = failure.findings.get(application.id, Findings())
    for finding in findings.lines:
        rule = rules.by_id.get(finding.rule)
        if rule is None and finding.kind is not Kind.TAIL:
            continue  # kept by a rule that is no more
        yield Statement(
            quote=Quote(
                source=Source.LOG,
                text=finding.text,
                action=application.action,
                application=application.id,
                container=finding.container,
                file=finding.file,
                line=finding.line,
                offset=finding.offset,
            ),
            rule=rule,
            groups=dict(finding.groups),
            score=_score(finding, rule, application),
            finding=finding,
        )


def _score(finding: Finding, rule: Rule | None, application: Application) -> float:
    if rule is None:
        return _OUTPUT if finding.text.startswith(SHELL_OUTPUT) else _TAIL
    if rule.weight < WRAPPER:
        return rule.weight
    told = rank(rule, finding.kind, finding.level, finding.depth)
    return told + _LAST * finding.is_last + _CHILD * (application.role == "child")


def _of_yarn(
    failure: FailureEvidence, application: Application, rules: Rules
) -> Iterator[Statement]:
    for line in _lines(failure.diagnostics.get(application.id)):
        rule = rules.match(Place.YARN, line.encode())
        if rule is None:
            continue
        yield Statement(
            quote=Quote(
                source=Source.YARN,
                text=line[:LONGEST_TEXT],
                action=application.action,
                application=application.id,
            ),
            rule=rule,
            groups=rule.groups(line.encode()),
            score=rule.weight + _FINAL,
        )


def _of_oozie(actions: Sequence[Action], rules: Rules) -> Iterator[Statement]:
    for action in actions:
        for number, line in enumerate(_lines(action.error_message)):
            code = "" if number or action.error_code in (None, _BY_KILL_NODE) else action.error_code
            said = f"{code}: {line}" if code else line
            rule = rules.match(Place.OOZIE, said.encode())
            yield Statement(
                quote=Quote(source=Source.OOZIE, text=line[:LONGEST_TEXT], action=action.name),
                rule=rule,
                groups=rule.groups(said.encode()) if rule else {},
                score=rule.weight if rule else _OUTPUT,
            )


def _lines(text: str | None) -> list[str]:
    """Return the lines of a text that say something."""
    lines = (text or "").splitlines()[:_MOST_LINES]
    return [line.strip() for line in lines if line.strip()]
