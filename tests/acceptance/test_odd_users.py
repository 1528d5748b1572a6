"""A user who logs in with an address; Hadoop takes the part before the `@` for the user."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Run
from tests.stands import RealStand, access, make_home

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

LOGIN, USER = "alice@example.com", "alice"


@pytest.fixture
def stand(real: RealStand) -> RealStand:
    """The real cluster, with a home for the user, and a directory for the user's workflows."""
    for name in (USER, LOGIN):
        make_home(real.described, "/user", name, owner=USER)
    real.described["users"].setdefault(LOGIN, f"{LOGIN}-password")
    return real


@pytest.mark.parametrize("strategy", ["direct", "workflow"])
def test_a_log_of_a_user_with_an_address_is_saved_in_the_home_that_hdfs_names(
    stand: RealStand, run: Run, strategy: str
) -> None:
    service = run(stand, TRACKER_COPYING__STRATEGY=strategy)
    job = stand.start("fail", user=LOGIN)
    service.track(job, user=LOGIN)

    [(application, copy)] = service.wait_saved(job, user=LOGIN).items()

    assert (copy["status"], copy["reason"]) == ("SUCCEEDED", None)
    assert copy["path"].startswith(f"/user/{USER}/WORK/logs/{job}/")
    saved = b"".join(access(stand, LOGIN).hdfs.read(copy["path"]))
    assert saved == stand.yarn_logs(f"application_{application}", USER)
    assert b"Traceback" in service.get(f"job/{job}/logs", user=LOGIN).content
