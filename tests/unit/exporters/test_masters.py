"""Each master is a task: one worker scrapes it, another takes over, and all processes show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from threading import Event
from typing import Any

import pytest

from tests.unit.fakes import AtOnce, Clock, FragileStore, Later, Ticks
from tests.unit.loopback_server import Loopback, Reply
from tests.unit.teraslice import ALL_SETS, FakeMaster, controller, names, one
from tests.waiting import until
from tracker_service.app import create_app
from tracker_service.bootstrap.exporters import build_exporters_work
from tracker_service.engine.worker import Worker
from tracker_service.errors import BadInput
from tracker_service.exporters import duties
from tracker_service.exporters.health import Health
from tracker_service.exporters.lookup import TeraslicePages
from tracker_service.exporters.masters import TERASLICE, Master
from tracker_service.exporters.scraping import Scraper, Update
from tracker_service.rooms import EXPORTERS
from tracker_service.settings.exporters import ExportersSettings
from tracker_service.store import jobsets, tasks
from tracker_service.store.database import Store


class Scraping(Worker):
    """A worker of which the tests know the duties."""

    def do(self, name: str) -> None:
        """Do one of its duties now."""
        [duty] = [duty for duty in self._duties if duty.name == name]
        self._do(duty)

    def begin(self) -> None:
        """Take the settings over, and claim masters until nothing is left to claim."""
        self.do("enrol_masters")
        self.tend()

    def tend(self) -> None:
        self.leases._renewed = float("-inf")
        for _ in range(3):
            self.do("tend")

    def holds(self) -> int:
        return len(self.leases.held().of(TERASLICE))


NewWorker = Callable[..., Scraping]


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    """The monotonic clock of the workers."""
    ticks = Ticks()
    monkeypatch.setattr(duties, "time", ticks)
    return ticks


def settings(*masters: dict[str, Any], **more: Any) -> ExportersSettings:
    return ExportersSettings.model_validate({"teraslice": masters, **more})


@pytest.fixture
def new_worker(store: Store, now: Clock, ticks: Ticks) -> NewWorker:
    def make(chosen: ExportersSettings, executor: Executor | None = None) -> Scraping:
        work = build_exporters_work(chosen, store, now, executor or AtOnce())
        worker = Scraping(
            store,
            work.kinds,
            work.duties,
            executors=[],
            lease_s=3600,
            clock=now,
            busy=lambda: 0.0,
            share_pace=lambda _: None,
        )
        worker.begin()
        return worker

    return make


@pytest.fixture
def fake(loopback: Loopback) -> FakeMaster:
    return FakeMaster(loopback, controllers=[controller(1)])


@pytest.fixture
def prod(fake: FakeMaster) -> dict[str, Any]:
    return {"name": "prod", "url": fake.server.origin, "display_url": "https://prod.lan"}


@pytest.fixture
def pages(store: Store) -> TeraslicePages:
    return TeraslicePages(store, ALL_SETS, keep_s=3600)


def shown(pages: TeraslicePages, cluster: str | None = None) -> str:
    return b"".join(pages.page(cluster)).decode()


def sweep(worker: Scraping, ticks: Ticks, seconds: float = 3) -> None:
    """Advance the time, and start what is due; the first updates come within a tenth."""
    ticks.now += seconds
    worker.do("scrape")


def test_what_a_worker_has_scraped_every_process_shows(new_worker, prod, ticks, service, pages):
    sweep(new_worker(settings(prod)), ticks)

    client = create_app(service, [EXPORTERS]).test_client()
    answer = client.get("/metrics/teraslice")

    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text == shown(pages)
    assert one(answer.text, "processed", cluster="prod", ex_id="ex-1") == 176
    assert one(answer.text, "teraslice_up", url="https://prod.lan/", name="lab") == 1


def test_the_series_of_one_master_can_be_asked_for(new_worker, prod, ticks, service):
    other = prod | {"name": "other", "display_url": "https://other.lan"}
    sweep(new_worker(settings(prod, other)), ticks)
    client = create_app(service, [EXPORTERS]).test_client()

    both = client.get("/metrics/teraslice").text
    other_page = client.get("/metrics/teraslice?cluster=other").text

    assert [one(both, "processed", cluster=name) for name in ("prod", "other")] == [176, 176]
    assert one(other_page, "processed", cluster="other") == 176
    assert "prod" not in other_page
    unknown = client.get("/metrics/teraslice?cluster=nobody")
    assert (unknown.status_code, unknown.content_type) == (404, "application/problem+json")
    assert "nobody" in unknown.get_json()["detail"]
    assert client.get("/metrics/teraslice?name=prod").status_code == 400


def test_without_a_master_the_page_has_no_series_of_one(service):
    page = create_app(service, [EXPORTERS]).test_client().get("/metrics/teraslice").text

    assert names(page) == {"teraslice_exporter_errors", "teraslice_exporter_build_info"}


def test_a_master_is_scraped_once_in_each_interval(new_worker, prod, fake, ticks):
    worker = new_worker(settings(prod | {"interval": 60}))
    sweep(worker, ticks, 6)
    asked = len(fake.server.asked)
    sweep(worker, ticks, 60)
    assert len(fake.server.asked) == 2 * asked

    for _ in range(600):
        sweep(worker, ticks, 0.1)

    assert len(fake.server.asked) == 3 * asked


def test_masters_are_scraped_at_different_moments(new_worker, ticks, store):
    many = [{"name": f"m{n}", "url": f"http://127.0.0.{n + 1}:1"} for n in range(50)]
    later, begun = Later(), [0]
    worker = new_worker(settings(*many), later)
    for _ in range(30):
        sweep(worker, ticks, 0.1)
        begun.append(len(later.calls))
    assert begun[-1] == 50, "the first updates come within a tenth of the interval"
    assert max(now - before for before, now in pairwise(begun)) <= 8
    later.run_all()

    started = []
    for _ in range(30):
        sweep(worker, ticks, 1)
        started.append(len(later.calls))
        later.run_all()

    assert sum(started) == 50
    assert max(started) <= 8


def test_each_master_is_scraped_by_one_worker_and_they_share(new_worker, prod, fake, ticks):
    other = prod | {"name": "other", "display_url": "https://other.lan"}
    chosen = settings(prod, other)
    first = new_worker(chosen)
    second = new_worker(chosen)
    first.tend()
    second.tend()

    sweep(first, ticks)
    sweep(second, ticks)

    assert first.holds() + second.holds() == 2
    assert len(fake.server.asked) == 2 * 5


def test_another_worker_takes_over_and_counts_on(new_worker, prod, fake, ticks, pages):
    first, second = new_worker(settings(prod)), new_worker(settings(prod))
    fake.replies["/"] = Reply(500)
    sweep(first, ticks)
    assert first.holds() == 1

    first.leases.give_back()
    second.tend()
    sweep(second, ticks)
    sweep(first, ticks, 60)

    assert (first.holds(), second.holds()) == (0, 1)
    page = shown(pages)
    assert one(page, "teraslice_exporter_errors_total", error_type="status") == 2
    assert one(page, "teraslice_exporter_update_duration_seconds_count") == 2


def test_what_a_worker_finds_after_it_has_lost_its_lease_is_not_shown(
    new_worker, prod, fake, ticks, pages, store
):
    later = Later()
    first, second = new_worker(settings(prod), later), new_worker(settings(prod))
    sweep(first, ticks)
    first.leases.give_back()
    second.tend()
    fake.controllers = [controller(1, processed=200)]
    sweep(second, ticks)
    fake.controllers = [controller(1, processed=100)]

    later.run_all()

    assert one(shown(pages), "processed") == 200


class Gate(Scraper):
    """Lets updates of a master that hangs wait until the test opens the gate."""

    def __init__(self) -> None:
        self.opened = Event()
        self.done: list[str] = []
        self.running: list[str] = []

    def update(self, master: Master, before: Health) -> Update:
        self.running.append(master.name)
        if master.name.startswith("hangs"):
            assert self.opened.wait(180)
        self.done.append(master.name)
        return Update(before, None)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(duties.MOST_THREADS) as pool:
        yield pool


def kind_of(worker: Scraping) -> duties.Masters:
    [kind] = worker._kinds
    assert isinstance(kind, duties.Masters)
    return kind


def test_masters_that_hang_delay_no_other_and_are_not_asked_twice_at_once(
    new_worker, threads, gate, ticks
):
    every = [
        {"name": f"{kind}-{n}", "url": f"http://{kind}-{n}.lan"}
        for kind, count in (("hangs", 20), ("works", 40))
        for n in range(count)
    ]
    worker = new_worker(settings(*every), threads)
    kind_of(worker)._scraper = gate

    def done() -> int:
        sweep(worker, ticks, 30)
        return min(gate.done.count(f"works-{n}") for n in range(40))

    until(done, lambda rounds: rounds >= 3)

    assert sum(name.startswith("hangs") for name in gate.running) == 20


def test_a_failed_update_keeps_the_last_values_and_says_at_once_that_the_master_is_down(
    new_worker, prod, fake, ticks, pages
):
    worker = new_worker(settings(prod))
    sweep(worker, ticks)
    fake.replies["/v1/cluster/controllers"] = Reply(500)
    sweep(worker, ticks, 30)

    page = shown(pages)

    assert one(page, "processed") == 176
    assert one(page, "teraslice_up") == 0


def test_values_that_are_too_old_vanish_and_the_rest_stays(new_worker, prod, ticks, store):
    sweep(new_worker(settings(prod)), ticks)

    page = shown(TeraslicePages(store, ALL_SETS, keep_s=-1))

    assert "processed" not in names(page)
    assert "teraslice_master_info" not in names(page)
    assert one(page, "teraslice_exporter_last_success_timestamp_seconds") is not None
    assert one(page, "teraslice_exporter_update_duration_seconds_count") == 1


def test_a_master_that_no_worker_scrapes_any_more_is_down(new_worker, prod, ticks, pages):
    sweep(new_worker(settings(prod | {"interval": 0.001})), ticks)

    until(lambda: one(shown(pages), "teraslice_up"), lambda up: up == 0)


def test_a_master_that_was_never_scraped_is_down(new_worker, prod, pages):
    new_worker(settings(prod))

    assert one(shown(pages), "teraslice_up", name="prod") == 0


def test_a_master_that_leaves_the_settings_leaves_the_page(new_worker, prod, ticks, pages, store):
    other = prod | {"name": "other", "display_url": "https://other.lan"}
    old = new_worker(settings(prod, other))
    sweep(old, ticks)

    new_worker(settings(other))
    old.tend()
    sweep(old, ticks, 30)

    page = shown(pages)
    assert [one(page, "processed", cluster=name) for name in ("prod", "other")] == [None, 176]
    assert old.holds() <= 1
    with pytest.raises(BadInput):
        pages.page("prod")
    new_worker(settings())
    assert "processed" not in names(shown(pages))
    with store.read() as connection:
        assert not jobsets.any_free(connection, [TERASLICE])


def test_an_update_of_a_master_that_was_just_removed_is_lost(new_worker, prod, ticks, pages):
    later = Later()
    worker = new_worker(settings(prod), later)
    sweep(worker, ticks)
    new_worker(settings())

    later.run_all()

    assert "processed" not in names(shown(pages))


def test_a_changed_setting_reaches_the_worker_that_scrapes(new_worker, prod, fake, ticks, pages):
    worker = new_worker(settings(prod))
    sweep(worker, ticks)

    new_worker(settings(prod | {"display_url": "https://new.lan", "interval": 60}))
    worker.tend()
    sweep(worker, ticks, 60)

    page = shown(pages)
    assert one(page, "teraslice_up", url="https://new.lan/") == 1
    assert one(page, "teraslice_exporter_update_duration_seconds_count") == 2


def test_the_settings_are_taken_over_once_the_database_is_back(store, prod, new_worker, ticks):
    assert isinstance(store, FragileStore)
    store.is_broken = True
    worker = new_worker(settings(prod))
    store.is_broken = False
    assert worker.holds() == 0

    worker.begin()

    assert worker.holds() == 1


def test_an_update_that_the_database_does_not_take_is_followed_by_the_next(
    store, prod, new_worker, ticks, pages
):
    worker = new_worker(settings(prod))
    store.is_broken = True
    sweep(worker, ticks)
    store.is_broken = False
    assert one(shown(pages), "teraslice_up") == 0

    sweep(worker, ticks, 30)

    assert one(shown(pages), "teraslice_up") == 1


def test_a_master_keeps_no_credential_of_a_user_of_its_name(
    new_worker, prod, ticks, store, service
):
    guest = prod | {"name": "guest"}
    sweep(new_worker(settings(guest)), ticks)

    with store.read() as connection:
        assert not tasks.has_live(connection, "guest")
    client = create_app(service, [EXPORTERS]).test_client()
    assert one(client.get("/metrics/teraslice").text, "processed", cluster="guest") == 176


def test_an_hour_of_updates_leaves_one_row(new_worker, prod, ticks, store, now):
    worker = new_worker(settings(prod))
    for _ in range(20):
        now.now += timedelta(seconds=30)
        sweep(worker, ticks, 30)

    page = shown(TeraslicePages(store, ALL_SETS, keep_s=3600))
    assert one(page, "teraslice_exporter_last_success_timestamp_seconds") == now().timestamp()
    assert one(page, "teraslice_exporter_update_duration_seconds_count") == 20
