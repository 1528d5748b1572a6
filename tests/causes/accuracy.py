"""Measure how often the causes that are told are the true ones: `python -m tests.causes.accuracy`.

A fifth of the cases is held out: rules are written without a look at it. Each case is judged as it
is, and again in each kind of noise.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import click

from tests.causes.corpus import Case, cases, is_held_out
from tests.causes.noise import NOISES, Noise
from tests.causes.short import Short, short_cases
from tracker_service.causes.rules import Rules, load_rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.causes.verdict import cause_of
from tracker_service.domain.applications import Application, ApplicationId, applications_of
from tracker_service.domain.causes import Cause
from tracker_service.domain.failures import Failure, Witness
from tracker_service.domain.jobs import Action, JobId, JobStatus

CONFIDENT = 0.8
_STRAY = re.compile(r"\?|\.\.|\s[.,:;]|: ?\.|[{}]|\n|[^.]$")  #: what a hole in a pattern leaves


@dataclass(frozen=True)
class Verdict:
    """What was told about a case, beside what is true."""

    case: Case | Short
    cause: Cause | None

    @property
    def has_category(self) -> bool:
        """Tell whether the category is right."""
        right = self.case.category
        return self.cause is not None and self.cause.category in (
            right if isinstance(right, frozenset) else {right}
        )

    @property
    def has_evidence(self) -> bool:
        """Tell whether the first line that is quoted proves it."""
        if isinstance(self.case, Short):
            return any(part in self.first for part in self.case.proof)
        return self.first in {line[: len(self.first)] for line in self.case.evidence}

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

    @property
    def is_confidently_wrong(self) -> bool:
        """Tell whether the card is wrong, and sure of itself."""
        return bool(self.cause and self.cause.confidence >= CONFIDENT and not self.has_category)

    @property
    def has_good_sentence(self) -> bool:
        """Tell whether no hole of a pattern shows in the sentence, unless it quotes one."""
        summary = self.cause.summary if self.cause else ""
        return self.cause is not None and (
            not _STRAY.search(summary) or any(s in summary for s in self._quoted)
        )

    @property
    def _quoted(self) -> list[str]:
        strays = _STRAY.findall(self.cause.summary) if self.cause else []
        return [stray for stray in strays if stray in self.first]

    @property
    def wrong(self) -> list[str]:
        """Return what is told wrongly."""
        parts = {
            "category": self.has_category,
            "evidence": self.has_evidence,
            "confidence": not self.is_confidently_wrong,
        }
        return [name for name, is_right in parts.items() if not is_right]


def failure_of(case: Case, rules: Rules, noise: Noise | None = None) -> Failure:
    """Return what the service would know about a case once its logs are copied."""
    actions = [_action(told) for told in case.job.get("actions") or ()]
    known = tuple(applications_of(case.job["id"], actions))
    applications = (*known, *_of_sub_workflows(case, {each.id for each in known}))
    return Failure(
        job_id=JobId(case.job["id"]),
        run=0,
        status=JobStatus.from_oozie(case.job.get("status")),
        actions=actions,
        witnesses=[_witness(case, application, rules, noise) for application in applications],
        is_complete=True,
    )


def _witness(case: Case, application: Application, rules: Rules, noise: Noise | None) -> Witness:
    answer = case.applications.get(application.id, {})
    log = case.logs.get(application.id, b"")
    return Witness(
        application=application.id,
        action=application.action,
        workflow_id=application.workflow_id,
        role=application.role,
        diagnostics=(answer.get("app") or answer).get("diagnostics"),
        findings=_scanned(noise.within(log) if noise else log, rules).findings.as_json(),
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


def verdicts(noise: Noise | None = None) -> list[Verdict]:
    """Judge all cases, as they are or in noise."""
    rules = load_rules()
    return [
        *(Verdict(case, cause_of(failure_of(case, rules, noise), rules)) for case in cases()),
        *(Verdict(case, cause_of(case.failure(rules, noise), rules)) for case in short_cases()),
    ]


def grouped() -> dict[str, list[Verdict]]:
    """Judge all cases, by group."""
    plain = verdicts()
    return {
        "tuning": [each for each in plain if not is_held_out(each.case.name)],
        "held out": [each for each in plain if is_held_out(each.case.name)],
        **{noise.name: verdicts(noise) for noise in NOISES},
    }


def share(right: Iterable[bool]) -> float:
    """Return how many of these are true, from 0 to 1."""
    every = list(right)
    return sum(every) / len(every) if every else 0.0


def table(groups: dict[str, list[Verdict]]) -> Iterator[str]:
    """Yield a row for each group."""
    yield "| group | cases | category | proving line | retryable | sentence | confidently wrong |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, judged in groups.items():
        yield _row(name, judged)


def _row(name: str, judged: Sequence[Verdict]) -> str:
    shares = (
        share(each.has_category for each in judged),
        share(each.has_evidence for each in judged),
        share(each.has_retryable for each in judged),
        share(each.has_good_sentence for each in judged),
        share(each.is_confidently_wrong for each in judged),
    )
    return f"| {name} | {len(judged)} | {' | '.join(f'{100 * each:.1f} %' for each in shares)} |"


def misses(groups: dict[str, list[Verdict]]) -> dict[str, dict[str, list[str]]]:
    """Return by group which cases are told wrongly, and what of them."""
    return {
        name: {each.case.name: each.wrong for each in judged if each.wrong}
        for name, judged in groups.items()
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--wrong", is_flag=True, help="Also each tuning case that is told wrong.")
def main(wrong: bool) -> None:
    """Print how often causes are told right."""
    groups = grouped()
    for row in table(groups):
        print(row)
    for each in groups["tuning"] if wrong else ():
        if each.wrong or not (each.has_retryable and each.has_good_sentence):
            _explain(each)


def _explain(each: Verdict) -> None:
    told = each.cause
    retryable = each.case.retryable or "(one may argue)"
    print(f"\n{each.case.name}: {each.case.what}\n  is   {each.case.category}, {retryable}")
    for line in each.case.proof if isinstance(each.case, Short) else each.case.evidence:
        print(f"       {line[:200]}")
    if told:
        print(f"  told {told.category}, {told.retryable}, {told.confidence} by {told.rule}:")
        print(f"       {told.summary[:200]}")
        for quote in told.evidence:
            print(f"       {quote.source}: {quote.text.strip()[:200]}")


if __name__ == "__main__":
    main()
