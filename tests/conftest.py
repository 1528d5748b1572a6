"""Fixtures of all tests: the clusters, and an environment without this machine's settings."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import pytest
from xdist.remote import Producer

from tests import profiles, scheduling, stands
from tests.kerberos_stand import KerberosStand, kerberos_stand
from tests.scheduling import ByUnit

Started = TypeVar("Started")

LEFT_OUT: list[str] = []  #: parts that cannot be tested on this machine, with the reasons

SERVERS = re.compile("postgresql|mariadb")

profiles.load()
for variable in [name for name in os.environ if name.startswith("TRACKER_")]:
    del os.environ[variable]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[stands.SandboxStand]:
    with stands.sandbox_stand() as stand:
        yield stand


@contextmanager
def _or_left_out(what: str, start: AbstractContextManager[Started]) -> Iterator[Started]:
    try:
        with start as stand:
            yield stand
    except stands.NoCluster as error:
        LEFT_OUT.append(f"{what}: {error}")
        if os.environ.get("CI"):
            pytest.fail(f"{what} must not be missing in CI: {error}", pytrace=False)
        pytest.skip(f"{what}: {error}")


@pytest.fixture(scope="session")
def real() -> Iterator[stands.RealStand]:
    with _or_left_out("the real cluster", stands.real_stand()) as stand:
        yield stand


@pytest.fixture(scope="session")
def apart() -> Iterator[stands.RealStand]:
    """A second real cluster; a test may stop parts of it if it starts them again."""
    with _or_left_out("the second real cluster", stands.apart_stand()) as stand:
        yield stand


@pytest.fixture(scope="module")
def kerberos() -> Iterator[KerberosStand]:
    """A real cluster with Kerberos; its ResourceManager keeps one core busy even when idle."""
    with _or_left_out("the cluster with Kerberos", kerberos_stand()) as stand:
        yield stand


@pytest.fixture(
    scope="session", params=["sandbox", pytest.param("real", marks=pytest.mark.cluster)]
)
def stand(request: pytest.FixtureRequest) -> stands.Stand:
    """Each of the two clusters in turn."""
    return request.getfixturevalue(request.param)


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they need; begin with those that take longest: others fill the gaps."""
    for item in items:
        if SERVERS.search(item.nodeid):
            item.add_marker("server")
    items.sort(key=lambda item: scheduling.turn(item.nodeid))


def pytest_collection_finish() -> None:
    """Leave all that is loaded by now out of each later look for garbage."""
    gc.collect()
    gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByUnit | None:
    """Replace `--dist loadscope`."""
    return ByUnit(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_unconfigure() -> None:
    """Print in the last line which parts were left out."""
    if LEFT_OUT:
        print(f"left out: {'; '.join(sorted(set(LEFT_OUT)))}")
