"""Measure how often the causes that are told are the true ones: `python -m tests.causes.accuracy`.

The held-out fifth is measured only if it is asked for, and rules are not changed after that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import click

from tests.causes.corpus import Case, cases
from tracker_service.causes.rules import Rules, load_rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.causes.verdict import cause_of
from tracker_service.domain.applications import Application, ApplicationId, applications_of
from tracker_service.domain.causes import Cause
from tracker_service.domain.failures import Failure, Witness
from tracker_service.domain.jobs import Action, JobId, JobStatus


@dataclass(frozen=True)
class Verdict:
    """What was told about a case, beside what is true."""

    case: Case
    cause: Cause | None

    @property
    def has_category(self) -> bool:
        """Tell whether the category is right."""
        return self.cause is not None and self.cause.category is self.case.category

    @property
    def has_evidence(self) -> bool:
        """Tell whether the first line that is quoted proves it."""
        return self.first in self.case.evidence

    @cached_property
    def first(self) -> str:
        """Return the first line that is quoted."""
        quotes = self.cause.evidence if self.cause else ()
        return quotes[0].text.strip() if quotes else ""

    @property
    def has_retryable(self) -> bool:
        """Tell whether it is right that a repetition may help, or that one may argue about it."""
        told = self.cause.retryable if self.cause else None
        return self.case.retryable in (None, told)


def failure_of(case: Case, rules: Rules) -> Failure:
    """Return what the service would know about a case once its logs are copied."""
    actions = [_action(told) for told in case.job.get("actions") or ()]
    known = tuple(applications_of(case.job["id"], actions))
    applications = (*known, *_of_sub_workflows(case, {each.id for each in known}))
    return Failure(
        job_id=JobId(case.job["id"]),
        run=0,
        status=JobStatus.from_oozie(case.job.get("status")),
        actions=actions,
        witnesses=[_witness(case, application, rules) for application in applications],
        is_complete=True,
    )


def _witness(case: Case, application: Application, rules: Rules) -> Witness:
    answer = case.applications.get(application.id, {})
    log = case.logs.get(application.id, b"")
    return Witness(
        application=application.id,
        action=application.action,
        workflow_id=application.workflow_id,
        role=application.role,
        diagnostics=(answer.get("app") or answer).get("diagnostics"),
        findings=_scanned(log, rules).findings.as_json(),
    )


def _of_sub_workflows(case: Case, known: Collection[str]) -> Iterator[Application]:
    """Yield the applications that no action of the job itself names."""
    for id in case.logs.keys() | case.applications.keys():
        if id not in known:
            yield Application(
                id=ApplicationId(id), action="", workflow_id=case.job["id"], role="child"
            )


def _scanned(log: bytes, rules: Rules) -> Scanner:
    scanner = Scanner(rules)
    for _ in scanner.of([log]):
        pass
    return scanner


def _action(told: dict[str, object]) -> Action:
    def word(name: str) -> str | None:
        value = told.get(name)
        return None if value is None else str(value)

    return Action(
        id=str(told["id"]),
        name=str(told["name"]),
        type=word("type") or "",
        status=word("status") or "",
        external_id=word("externalId"),
        child_ids=word("externalChildIDs"),
        external_status=word("externalStatus"),
        error_code=word("errorCode"),
        error_message=word("errorMessage"),
    )


def verdicts(*, held_out: bool = False) -> list[Verdict]:
    """Judge the cases of one part of the corpus."""
    rules = load_rules()
    return [
        Verdict(case, cause_of(failure_of(case, rules), rules))
        for case in cases()
        if case.is_held_out == held_out
    ]


def share(right: Iterable[bool]) -> float:
    """Return how many of these are true, from 0 to 1."""
    every = list(right)
    return sum(every) / len(every) if every else 0.0


def table(judged: Sequence[Verdict]) -> Iterator[str]:
    """Yield the rows: by category, then over all."""
    yield "| category | cases | category right | evidence right | retryable right |"
    yield "| --- | --- | --- | --- | --- |"
    groups = sorted({each.case.category for each in judged})
    for name in groups:
        yield _row(name, [each for each in judged if each.case.category is name])
    for origin in ("real", "written"):
        yield _row(f"*{origin}*", [each for each in judged if each.case.origin == origin])
    yield _row("**all**", judged)


def _row(name: str, judged: Sequence[Verdict]) -> str:
    shares = (
        share(each.has_category for each in judged),
        share(each.has_evidence for each in judged),
        share(each.has_retryable for each in judged),
    )
    return f"| {name} | {len(judged)} | {' | '.join(f'{100 * each:.0f} %' for each in shares)} |"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--held-out", is_flag=True, help="The fifth that rules were written without.")
@click.option("--wrong", is_flag=True, help="Also each case that is told wrong.")
def main(held_out: bool, wrong: bool) -> None:
    """Print how often causes are told right."""
    judged = verdicts(held_out=held_out)
    for row in table(judged):
        print(row)
    for each in judged if wrong else ():
        if not (each.has_category and each.has_evidence and each.has_retryable):
            _explain(each)


def _explain(each: Verdict) -> None:
    told = each.cause
    retryable = each.case.retryable or "(one may argue)"
    print(f"\n{each.case.name}: {each.case.what}\n  is   {each.case.category}, {retryable}")
    for line in each.case.evidence:
        print(f"       {line[:200]}")
    if told:
        print(f"  told {told.category}, {told.retryable} by {told.rule}: {told.summary[:200]}")
        for quote in told.evidence:
            print(f"       {quote.source}: {quote.text.strip()[:200]}")


if __name__ == "__main__":
    main()
