"""The corpus is what it says."""

from __future__ import annotations

import pytest

from tests.causes.corpus import Case, cases
from tracker_service.domain.jobs import is_job_id


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_each_proving_line_stands_in_what_was_said(case: Case) -> None:
    said = [str(case.job), str(case.applications), *(log.decode() for log in case.logs.values())]
    lines = {line.strip() for log in said[2:] for line in log.splitlines()}
    told = " ".join(said[:2])

    assert is_job_id(case.job["id"])
    assert case.evidence
    for line in case.evidence:
        assert line in lines or line in told, line
