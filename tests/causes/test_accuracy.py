"""The causes that are told are the true ones, for the cases that rules were tuned on."""

from __future__ import annotations

import pytest

from tests.causes.accuracy import Verdict, share, verdicts


@pytest.fixture(scope="module")
def judged() -> list[Verdict]:
    return verdicts()


def test_nine_of_ten_categories_are_right(judged):
    assert share(each.has_category for each in judged) >= 0.9


def test_the_first_quoted_line_proves_it_in_85_of_100_cases(judged):
    assert share(each.has_evidence for each in judged) >= 0.85


def test_each_failure_has_a_card_with_proof(judged):
    silent = [each.case.name for each in judged if not each.first]

    assert not silent


def test_a_card_is_readable(judged):
    for each in judged:
        assert each.cause is not None, each.case.name
        assert each.cause.summary
        assert "\n" not in each.cause.summary
        assert each.cause.hint
        assert 0 <= each.cause.confidence <= 1
        assert len(each.cause.evidence) <= 5
