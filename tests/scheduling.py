"""Which tests of the clusters run in one process, and in which order they begin.

pytest-xdist has `--dist loadgroup` for this. It does nothing with pytest 9.2: it renames tests in a
way that pytest no longer looks at.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling

#: Files whose tests run one after the other on a cluster of their own. They take longest.
CLUSTER_OF = {
    "test_formats": "apart",
    "test_gateway_identities": "apart",
    "test_kerberos": "kerberos",
    "test_random_ids": "apart",
}
#: Files whose tests take a minute each, alone on a sandbox.
LONG = ("test_schemathesis",)
_ON_REAL = re.compile(r"[\[-]real[\]-]")


def unit_of(test: str) -> str:
    """Return the name of what runs in one process: a cluster's tests, a file's tests, or one test.

    The tests of a file that run on the real cluster share their jobs.

    Args:
        test: pytest's id of the test.
    """
    file = _file(test)
    if file in CLUSTER_OF:
        return CLUSTER_OF[file]
    return file if _ON_REAL.search(test) else test


def turn(test: str) -> int:
    """Return a number by which tests are sorted: the longest units first, then single tests."""
    unit = unit_of(test)
    if unit in CLUSTER_OF.values():
        return 0
    return 1 if _file(test) in LONG else 2 + (unit == test)


def _file(test: str) -> str:
    return PurePath(test.partition("::")[0]).stem


class ByUnit(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each process the next unit when it is nearly done with the last one."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
