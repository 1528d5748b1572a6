"""How many random examples tests try: TESTS_PROFILE is `short` or `long`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

IS_LONG = os.environ.get("TESTS_PROFILE", "short") == "long"


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
