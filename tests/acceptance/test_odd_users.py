"""A user whose name has a character with a meaning in URLs."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Run
from tests.stands import RealStand, access, make_home

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture
def user(real: RealStand) -> str:
    """A user of the directory, with a home like that of any other."""
    name = "alice@example.com"
    make_home(real.described, "/user", name)
    real.described["users"].setdefault(name, f"{name}-password")
    return name


@pytest.mark.parametrize("strategy", ["direct", "workflow"])
def test_a_log_of_a_user_with_an_odd_name_is_saved_by_each_way(
    real: RealStand, run: Run, user: str, strategy: str
) -> None:
    service = run(real, TRACKER_COPYING__STRATEGY=strategy)
    job = real.start("fail", user=user)
    service.track(job, user=user)

    [(application, copy)] = service.wait_saved(job, user=user).items()

    assert (copy["status"], copy["reason"]) == ("SUCCEEDED", None)
    assert copy["path"].startswith(f"/user/{user}/WORK/logs/{job}/")
    saved = b"".join(access(real, user).hdfs.read(copy["path"]))
    assert saved == real.yarn_logs(f"application_{application}", user)
    assert service.get(f"job/{job}/logs", user=user).content.count(b"Traceback") > 0
