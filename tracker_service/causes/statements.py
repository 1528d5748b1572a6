"""Gather the lines of logs, YARN and Oozie that speak of a failure, and score each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tracker_service.causes.findings import LONGEST_TEXT, Finding, Findings, Kind
from tracker_service.causes.rules import Place, Rule, Rules
from tracker_service.causes.scan.traces import SHELL_OUTPUT, WRAPPER, rank
from tracker_service.domain.causes import Quote, Source
from tracker_service.domain.failures import Failure, Witness
from tracker_service.domain.jobs import Action

_MOST_LINES = 200  #: of a text of YARN's or Oozie's
_LAST = 4  #: more for the last error of a file
_CHILD = 2  #: more for what a launcher started
_FINAL = 2  #: more for YARN's diagnostics, which it writes when all is over
_TAIL = 18  #: for a program's last lines: more than any wrapper, less than any rule proper
_OUTPUT = 4  #: for lines that no rule knows and that may be no complaint
_BY_KILL_NODE = "E0729"  #: the code of each workflow that ended in a kill node: it explains nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One line about a failure, and the rule that matches it."""

    quote: Quote
    rule: Rule | None
    groups: Mapping[str, str]
    score: float
    finding: Finding | None = None
    turn: int = 0  #: greater for a line of an application that the action started later

    @property
    def order(self) -> tuple[float, int, int, int]:
        """Return a key by which the best statement is the greatest.

        Of equal ones the last try counts, and there the last line of its log.
        """
        depth = self.finding.depth if self.finding else 0
        return self.score, depth, self.turn, self.quote.offset or 0


def statements(failure: Failure, failing: Sequence[Action], rules: Rules) -> list[Statement]:
    """Return the statements about the actions that failed; about all actions if none is known."""
    concerned = [
        witness
        for witness in failure.witnesses
        if any(action.id == f"{witness.workflow_id}@{witness.action}" for action in failing)
    ]
    found = [*_of_oozie(failing or failure.actions, rules)]
    for turn, witness in enumerate(sorted(concerned or failure.witnesses, key=_start), 1):
        for statement in (*_of_yarn(witness, rules), *_of_log(witness, rules)):
            found.append(replace(statement, turn=turn))
    return found


def _start(witness: Witness) -> tuple[int, int]:
    """Return a key that is greater for an application that started later."""
    _, started, sequence = witness.application.split("_")
    return int(started), int(sequence)


def _of_log(witness: Witness, rules: Rules) -> Iterator[Statement]:
    findings = Findings.of_json(witness.findings) if witness.findings else Findings()
    for finding in findings.lines:
        rule = rules.by_id.get(finding.rule)
        if rule is None and finding.kind is not Kind.TAIL:
            continue  # kept by a rule that is no more
        yield Statement(
            quote=Quote(
                source=Source.LOG,
                text=finding.text,
                action=witness.action,
                application=witness.application,
                container=finding.container,
                file=finding.file,
                line=finding.line,
                offset=finding.offset,
            ),
            rule=rule,
            groups=dict(finding.groups),
            score=_score(finding, rule, witness),
            finding=finding,
        )


def _score(finding: Finding, rule: Rule | None, witness: Witness) -> float:
    if rule is None:
        return _OUTPUT if finding.text.startswith(SHELL_OUTPUT) else _TAIL
    if rule.weight < WRAPPER:
        return rule.weight
    score = rank(rule, finding.kind, finding.level, finding.depth)
    return score + _LAST * finding.is_last + _CHILD * (witness.role == "child")


def _of_yarn(witness: Witness, rules: Rules) -> Iterator[Statement]:
    for line in _lines(witness.diagnostics):
        rule = rules.match(Place.YARN, line.encode())
        if rule is None:
            continue
        yield Statement(
            quote=Quote(
                source=Source.YARN,
                text=line[:LONGEST_TEXT],
                action=witness.action,
                application=witness.application,
            ),
            rule=rule,
            groups=rule.groups(line.encode()),
            score=rule.weight + _FINAL,
        )


def _of_oozie(actions: Sequence[Action], rules: Rules) -> Iterator[Statement]:
    for action in actions:
        for number, line in enumerate(_lines(action.error_message)):
            code = "" if number or action.error_code in (None, _BY_KILL_NODE) else action.error_code
            text = (f"{code}: {line}" if code else line).encode()
            rule = rules.match(Place.OOZIE, text)
            yield Statement(
                quote=Quote(source=Source.OOZIE, text=line[:LONGEST_TEXT], action=action.name),
                rule=rule,
                groups=rule.groups(text) if rule else {},
                score=rule.weight if rule else _OUTPUT,
            )


def _lines(text: str | None) -> list[str]:
    """Return the lines of a text without the blank ones."""
    lines = (text or "").splitlines()[:_MOST_LINES]
    return [line.strip() for line in lines if line.strip()]
