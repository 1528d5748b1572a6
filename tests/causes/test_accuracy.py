"""The causes that are told are the true ones, also in noise; what is not is known by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.causes.accuracy import Verdict, grouped, misses, share, table
from tests.causes.noise import NOISES

KNOWN = Path(__file__).with_name("known_misses.yml")


@pytest.fixture(scope="module")
def groups() -> dict[str, list[Verdict]]:
    found = grouped()
    print("\n".join(table(found)))
    return found


@pytest.mark.parametrize(
    ("name", "category", "evidence", "wrong"),
    [
        ("tuning", 0.95, 0.93, 0.02),
        ("held out", 0.90, 0.93, 0.03),
        *((noise.name, 0.88, 0.93, 0.03) for noise in NOISES),
    ],
)
def test_a_group_of_cases_is_told_right(groups, name, category, evidence, wrong):
    judged = groups[name]

    assert share(each.has_category for each in judged) >= category
    assert share(each.has_evidence for each in judged) >= evidence
    assert share(each.is_confidently_wrong for each in judged) <= wrong


def test_the_known_misses_are_all_that_is_told_wrongly(groups):
    assert misses(groups) == yaml.safe_load(KNOWN.read_text())


def test_each_failure_has_a_card_with_proof(groups):
    silent = [each.case.name for judged in groups.values() for each in judged if not each.first]

    assert not silent


def test_a_card_is_readable(groups):
    for each in (each for judged in groups.values() for each in judged):
        assert each.cause is not None, each.case.name
        assert each.has_good_sentence, each.cause.summary
        assert each.cause.hint
        assert 0 <= each.cause.confidence <= 1
        assert len(each.cause.evidence) <= 5
