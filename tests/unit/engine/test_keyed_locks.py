from __future__ import annotations

from threading import Event, Thread

from tests.waiting import until
from tracker_service.engine.keyed_locks import KeyedLocks


def test_who_works_on_one_thing_holds_nobody_up_who_works_on_another():
    locks, done = KeyedLocks(), Event()

    def work() -> None:
        with locks.held("other"):
            done.set()

    with locks.held("one"):
        thread = Thread(target=work)
        thread.start()
        assert done.wait(60)
    thread.join()


def test_on_one_thing_one_thread_works_at_a_time():
    locks, done = KeyedLocks(), Event()

    def work() -> None:
        with locks.held("one"):
            done.set()

    with locks.held("one"):
        thread = Thread(target=work)
        thread.start()
        until(lambda: locks._locks["one"][1] == 2)
        assert not done.is_set()
    thread.join()

    assert done.is_set()
    assert locks._locks == {}
