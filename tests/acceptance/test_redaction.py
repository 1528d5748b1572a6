"""What real jobs write of secrets is not in their saved logs, and the manifest counts it."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.conftest import Run
from tests.stands import RealStand, access

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

SECRET = b"S3cr3tValue99"


@pytest.mark.parametrize(("strategy", "is_hidden"), [("direct", True), ("workflow", False)])
def test_secrets_are_hidden_in_what_is_copied_directly_and_nothing_else_is_changed(
    real: RealStand, run: Run, strategy: str, is_hidden: bool
) -> None:
    service = run(real, TRACKER_COPYING__REDACT=True, TRACKER_COPYING__STRATEGY=strategy)
    job = real.start("secrets")
    service.track(job)

    [(application, copy)] = service.wait_saved(job).items()

    printed = real.yarn_logs(f"application_{application}", "guest")
    assert printed.count(SECRET) >= 4
    expected = printed.replace(SECRET, b"***") if is_hidden else printed
    hdfs = access(real).hdfs
    assert b"".join(hdfs.read(copy["path"])) == expected
    path = f"{copy['path'].rpartition('/')[0]}/manifest.json"
    [told] = json.loads(b"".join(hdfs.read(path)))["applications"]
    if is_hidden:
        assert sum(told["redacted"].values()) == printed.count(SECRET)
        assert set(told["redacted"]) == {"authorization", "password", "url"}
    else:
        assert told["redacted"] is False
