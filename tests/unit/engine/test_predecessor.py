"""A worker takes over at once from the dead one before it on the same state directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.fakes import NOW, job, seen
from tracker_service.engine import predecessor
from tracker_service.engine.predecessor import Predecessor, machine
from tracker_service.errors import StoreUnavailable
from tracker_service.store import jobs, jobsets, track_tasks, workers
from tracker_service.store.workers import Presence

DEAD, NEXT = f"{machine()}-17-c0ffee", f"{machine()}-18-c0ffee"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "worker"


@pytest.fixture
def hold(store) -> Callable[[str], None]:
    """Claim a jobset for a worker, and record that it lives."""

    def held(worker: str) -> None:
        with store.begin() as connection:
            kept = jobs.record(connection, [seen(job(1))])
            track_tasks.track(connection, "guest", "guest", list(kept.values()), NOW)
            jobsets.claim(connection, worker, ["track"], 3600, 10)
            presence = Presence(id=worker, started_at=NOW, release="1", kinds=("track",))
            workers.note(connection, presence)

    return held


def free(store) -> bool:
    with store.read() as connection:
        return jobsets.any_free(connection, ["track"])


def test_what_the_worker_before_held_is_free_at_once(store, file, hold):
    Predecessor(store, file).replace_with(DEAD)
    hold(DEAD)
    assert not free(store)

    Predecessor(store, file).replace_with(NEXT)

    assert free(store)
    with store.read() as connection:
        assert workers.living(connection, 3600) == 0


@pytest.mark.parametrize("noted", ["", "elsewhere-17-c0ffee", "\udcff", "a b c"])
def test_what_no_worker_of_this_machine_held_stays_held(store, file, hold, noted):
    file.write_bytes(noted.encode("utf-8", "surrogateescape"))
    hold("elsewhere-17-c0ffee")

    Predecessor(store, file).replace_with(NEXT)

    assert not free(store)


def test_a_copy_of_the_directory_on_another_machine_takes_nothing(store, file, hold, monkeypatch):
    Predecessor(store, file).replace_with(DEAD)
    hold(DEAD)
    monkeypatch.setattr(predecessor, "machine", lambda: "elsewhere")

    Predecessor(store, file).replace_with("elsewhere-1-c0ffee")

    assert not free(store)


def test_what_could_not_be_freed_is_freed_by_the_next_worker(store, file, hold):
    Predecessor(store, file).replace_with(DEAD)
    hold(DEAD)
    store.is_broken = True
    Predecessor(store, file).replace_with(NEXT)
    store.is_broken = False
    assert not free(store)

    Predecessor(store, file).replace_with(f"{machine()}-19-c0ffee")

    assert free(store)


def test_a_directory_that_cannot_be_written_stops_no_worker(store, tmp_path, hold):
    hold(DEAD)

    Predecessor(store, tmp_path / "gone" / "worker").replace_with(NEXT)

    assert not free(store)


def test_a_database_that_is_away_stops_no_worker(store, file):
    store.is_broken = True

    Predecessor(store, file).replace_with(NEXT)

    assert NEXT in file.read_text()
    with pytest.raises(StoreUnavailable), store.begin():
        pass
