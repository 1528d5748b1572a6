"""What all tests share: the two clusters, and an environment without settings of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import stands

LEFT_OUT: list[str] = []  #: parts that could not be tested on this machine, with the reason

for variable in [name for name in os.environ if name.startswith("TRACKER_")]:
    del os.environ[variable]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[stands.SandboxStand]:
    with stands.sandbox_stand() as stand:
        yield stand


@pytest.fixture(scope="session")
def real() -> Iterator[stands.RealStand]:
    try:
        with stands.real_stand() as stand:
            yield stand
    except stands.NoCluster as error:
        LEFT_OUT.append(f"the real cluster: {error}")
        if os.environ.get("CI"):
            pytest.fail(f"the real cluster must not be missing in CI: {error}", pytrace=False)
        pytest.skip(f"the real cluster: {error}")


@pytest.fixture(
    scope="session", params=["sandbox", pytest.param("real", marks=pytest.mark.cluster)]
)
def stand(request: pytest.FixtureRequest) -> stands.Stand:
    """Each of the two clusters in turn."""
    return request.getfixturevalue(request.param)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests of the real cluster in one process, so that it is started once."""
    for item in items:
        if item.get_closest_marker("cluster"):
            item.add_marker(pytest.mark.xdist_group("real"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that prints what this one has left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = LEFT_OUT


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    LEFT_OUT.extend(getattr(node, "workeroutput", {}).get("left_out", []))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Name in the last line what was left out."""
    if LEFT_OUT and not hasattr(config, "workeroutput"):
        print(f"left out: {'; '.join(sorted(set(LEFT_OUT)))}")
