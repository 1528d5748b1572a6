"""Kill the worker at each step of a direct copy: the old log stays, or the new one is whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.acceptance.between import Between
from tests.acceptance.service import RunningService
from tests.profiles import IS_LONG
from tests.stands import Stand, access
from tests.waiting import GENEROUS_S, until
from tracker_service.errors import GatewayUnavailable
from tracker_service.sources.webhdfs import WebHdfs

pytestmark = pytest.mark.slow

OLD = b"the log of an earlier copy\n"
#: In the order in which the worker does them; each is one request to the gateway. Who is killed
#: behind one of them is killed before the next.
STEPS = {
    "ask YARN for the application": r"GET .*/cluster/apps/application_",
    "list the aggregated files": r"GET .*bucket-logs-.*op=LISTSTATUS",
    "make the directory": r"PUT .*/WORK/logs/[^.]*op=MKDIRS",
    "ask where to write the part": r"PUT .*\.part-.*op=CREATE",
    "ask where to read the file": r"GET .*bucket-logs-.*op=OPEN",
    "read the file": r"GET .*/data/.*bucket-logs-",
    "write the part": r"PUT .*/data/.*\.part-",
    "compare the length of the part": r"GET .*\.part-.*op=GETFILESTATUS",
    "rename the part": r"PUT .*\.part-.*op=RENAME",
    "compare the length of the log": r"GET .*\.log\?op=GETFILESTATUS",
    "write the manifest": r"PUT .*/data/.*manifest",
    "rename the manifest": r"PUT .*manifest.*op=RENAME",
}
#: On the real cluster before a release only, but for those that leave a file half done.
ON_REAL = STEPS if IS_LONG else ("write the part", "rename the part")
CASES = [
    *(("sandbox", step) for step in STEPS),
    *(pytest.param("real", step, marks=pytest.mark.cluster) for step in ON_REAL),
]


@dataclass
class Crashing:
    """A service whose way to the gateway can be broken, and a job whose log it has saved."""

    service: RunningService
    between: Between
    hdfs: WebHdfs
    job: str
    path: str
    text: bytes

    def kill_worker(self) -> None:
        if worker := self.service.child("worker"):
            os.kill(worker, signal.SIGKILL)

    def copy_again(self) -> None:
        answer = requests.post(
            f"{self.service.url}/api/task/copy-logs/?refresh=true",
            json=[self.job],
            auth=("guest", "guest-password"),
            timeout=GENEROUS_S,
        )
        assert answer.status_code == 200, answer.text

    def saved(self) -> bytes:
        """Return the log, whatever is renamed to its name while it is read."""

        def read() -> bytes | None:
            try:
                return b"".join(self.hdfs.read(self.path))
            except GatewayUnavailable:
                return None

        content = until(read, lambda content: content is not None)
        assert content is not None
        return content

    def has_saved(self, *, with_manifest: bool) -> bool:
        """Tell whether the copy has succeeded, and if wished, its manifest is written too."""
        if with_manifest and self.service.live_tasks(self.job):
            return False
        return self.service.query("SELECT status FROM copies") == [("SUCCEEDED",)]

    def files(self) -> set[str]:
        return {file.name for file in self.hdfs.list(self.path.rpartition("/")[0])}


@pytest.fixture(scope="module")
def crashing(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashing]:
    with Between(stand).running() as between:
        state_dir = tmp_path_factory.mktemp("crashing") / "state"
        service = RunningService(
            stand, state_dir, TRACKER_GATEWAY__URL=between.url, TRACKER_WORKER__LEASE_S=1
        )
        try:
            job = stand.start("fail")
            service.track(job)
            [copy] = service.wait_saved(job).values()
            text = stand.yarn_logs(f"application_{copy['application']}", "guest")
            yield Crashing(service, between, access(stand).hdfs, job, copy["path"], text)
        finally:
            service.end()


@pytest.mark.parametrize(("stand", "step"), CASES, indirect=["stand"])
def test_a_worker_that_is_killed_behind_a_step_leaves_the_old_log_or_the_whole_new_one(
    crashing: Crashing, step: str
) -> None:
    crashing.hdfs.write(crashing.path, OLD)
    sprung = crashing.between.behind(STEPS[step], crashing.kill_worker)

    crashing.copy_again()

    assert sprung.wait(GENEROUS_S), f"the worker never came to this: {step}"
    crashing.service.kill_all()  # the supervisor would start the worker later and later
    assert crashing.saved() in (OLD, crashing.text)
    crashing.service.start()
    until(lambda: crashing.has_saved(with_manifest="manifest" in step))
    assert crashing.saved() == crashing.text
    there = {crashing.path.rpartition("/")[2], "manifest.json"}
    until(crashing.files, lambda files: files == there)  # a manifest may be on its way
