"""Ten thousand ids in one body cost what they are, and not the square of it."""

from __future__ import annotations

from tests.unit.calls import GUEST
from tests.unit.fakes import job
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.written_ids import WrittenId
from tracker_service.tracking.intake import TrackResult

IDS = 10_000


class CountedId(str):
    """An id that counts how often it is compared."""

    __slots__ = ()
    comparisons = 0

    def __eq__(self, other: object) -> bool:
        CountedId.comparisons += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


def test_ids_that_oozie_does_not_know_are_told_apart_without_comparing_each_with_each(
    client, service, monkeypatch
):
    ids = [JobId(CountedId(job(number))) for number in range(IDS)]
    states = (JobStatus.NOT_FOUND, JobStatus.RUNNING)
    answers = [
        TrackResult(posted=WrittenId(text=id_, id=id_), id=id_, status=states[n % 2])
        for n, id_ in enumerate(ids)
    ]
    monkeypatch.setattr(service.intake, "track", lambda *_, **__: answers)
    monkeypatch.setattr(service.lookup, "copies_of", lambda *_: [])

    answer = client.post("/api/task/copy-logs/", data=job(1), content_type="text/plain", auth=GUEST)

    assert answer.status_code == 200
    assert CountedId.comparisons < 2 * IDS
