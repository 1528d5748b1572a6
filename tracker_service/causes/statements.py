"""Gather the lines of logs, YARN and Oozie that speak of a failure, and score each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tracker_service.causes.findings import Finding, Findings, Kind, excerpt
from tracker_service.causes.roles import POINTS, Role
from tracker_service.causes.rules import SPECIFIC, WRAPPER, Place, Rule, Rules
from tracker_service.causes.scan.records import level_of
from tracker_service.causes.scan.traces import SHELL_OUTPUT, rank
from tracker_service.domain.causes import Quote, Source
from tracker_service.domain.failures import Failure, Witness
from tracker_service.domain.jobs import Action
from tracker_service.regex import text_of

_MOST_LINES = 200  #: of a text of YARN's or Oozie's
_LAST = 10  #: more for the last error of a file
_CHILD = 2  #: more for what a launcher started
_VAGUE = 50  #: less for an error of a program's own that does not say what was wrong
_FINAL = 2  #: more for YARN's diagnostics, which it writes when all is over
_TAIL = 18  #: for a program's last lines: more than any wrapper, less than any rule proper
_OUTPUT = 4  #: for lines that no rule knows and that may be no complaint
_RELAYED = "Last 4096 bytes of "  #: behind it, YARN repeats what a program wrote
_BY_KILL_NODE = "E0729"  #: the code of each workflow that ended in a kill node: it explains nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One line about a failure, and the rule that matches it."""

    quote: Quote
    rule: Rule | None
    groups: Mapping[str, str]
    score: float
    role: Role
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
            score=_score(finding, rule, witness) - _vagueness(rule, finding, rules),
            role=finding.role,
            finding=finding,
        )


def _score(finding: Finding, rule: Rule | None, witness: Witness) -> float:
    if rule is None:
        return _OUTPUT if finding.text.startswith(SHELL_OUTPUT) else _TAIL
    if rule.weight < WRAPPER:
        return rule.weight + min(POINTS[finding.role], 0)
    score = rank(rule, finding.kind, finding.role, finding.depth)
    return score + _LAST * finding.is_last + _CHILD * (witness.role == "child")


def _vagueness(rule: Rule | None, finding: Finding, rules: Rules) -> float:
    """Return what is taken from an end that does not say why: an earlier complaint may."""
    if rule is None or rule.weight >= SPECIFIC or rule.weight < WRAPPER:
        return 0
    message = dict(finding.groups).get("message", "")
    has_message = b"message" in rule.pattern.groupindex
    is_vague = rules.roles.vague is not None and bool(rules.roles.vague.search(message.encode()))
    return _VAGUE if has_message and (is_vague or message.strip() in ("", "null")) else 0


def _of_yarn(witness: Witness, rules: Rules) -> Iterator[Statement]:
    is_relayed, depth = False, 0
    for line in _lines(witness.diagnostics):
        text = line.encode()
        is_relayed = is_relayed or line.startswith(_RELAYED)
        found = rules.find(Place.YARN, text)
        if found is None:
            continue
        depth += line.startswith("Caused by: ")
        role = rules.roles.of(text, text, level_of(text))
        if role is Role.OPEN and not is_relayed:
            role = Role.END
        yield Statement(
            quote=Quote(
                source=Source.YARN,
                text=excerpt(line, text_of(found.text)),
                action=witness.action,
                application=witness.application,
            ),
            rule=found.rule,
            groups=found.groups,
            score=_of_words(found.rule, role) + _FINAL + 3 * min(depth, 3),
            role=role,
        )


def _of_words(rule: Rule, role: Role) -> float:
    return rule.weight if rule.weight < WRAPPER else rule.weight + POINTS[role]


def _of_oozie(actions: Sequence[Action], rules: Rules) -> Iterator[Statement]:
    for action in actions:
        for number, line in enumerate(_lines(action.error_message)):
            code = "" if number or action.error_code in (None, _BY_KILL_NODE) else action.error_code
            text = f"{code}: {line}" if code and not line.startswith(code) else line
            found = rules.find(Place.OOZIE, text.encode())
            yield Statement(
                quote=Quote(
                    source=Source.OOZIE,
                    text=excerpt(line, text_of(found.text) if found else ""),
                    action=action.name,
                ),
                rule=found.rule if found else None,
                groups=found.groups if found else {},
                score=_of_words(found.rule, Role.END) if found else _OUTPUT,
                role=Role.END,
            )


def _lines(text: str | None) -> list[str]:
    """Return the lines of a text without the blank ones."""
    lines = (text or "").splitlines()[:_MOST_LINES]
    return [line.strip() for line in lines if line.strip()]
