"""How much the tests try: TESTS_PROFILE is `short` or `long`, as before a release."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

IS_LONG = os.environ.get("TESTS_PROFILE", "short") == "long"

_STANDS = ["sandbox", pytest.param("real", marks=pytest.mark.cluster)]
#: For what another test proves on the real cluster too: there, it runs before a release only.
REAL_IF_LONG = pytest.mark.parametrize("stand", _STANDS if IS_LONG else ["sandbox"], indirect=True)


def load() -> None:
    """Set how many examples hypothesis tries, without a limit on the time of one."""
    settings.register_profile(
        "tests",
        max_examples=300 if IS_LONG else 30,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("tests")
