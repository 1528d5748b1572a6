"""Which job is given out next."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.ledger.conftest import SOURCES
from tests.unit.ledger.writers import Wsgi, front_of
from tracker_service.domain.ledger import EVERYTHING, NO_DATE, Scope
from tracker_service.errors import ConfigError
from tracker_service.ledger.job_service import Cursors, JobService, Source
from tracker_service.ledger.ledger import Ledger
from tracker_service.ledger.next_jobs import NextJobs
from tracker_service.ledger.sources import load_sources
from tracker_service.metrics import Metrics
from tracker_service.store import ledger_cursors


def source(datatype: str, **more: object) -> Source:
    return Source(bucket="b", experiment="e", datatype=datatype, **more)  # type: ignore[arg-type]


def day(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}T00:00:00+00:00")


def taken(service: JobService, cursors: Cursors, now: datetime, number: int, scope=EVERYTHING):
    walk = service.begin_walk(cursors, now)
    jobs = (service.choose(walk, now, scope) for _ in range(number))
    return [f"{job.datatype} {job.date:%m-%d}" if job else None for job in jobs]


NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_all_sources_of_yesterday_come_first_then_history_date_by_date():
    service = JobService([source("a"), source("b")], day("2026-11-01"))

    assert taken(service, Cursors(), NOON, 7) == [
        *("a 11-21", "b 11-21"),
        *("a 11-01", "b 11-01", "a 11-02", "b 11-02", "a 11-03"),
    ]


@pytest.mark.parametrize(("hour", "minute", "first"), [(10, 29, "a 11-01"), (10, 30, "a 11-21")])
def test_the_data_of_a_day_are_there_from_half_past_ten_of_the_next(hour, minute, first):
    service = JobService([source("a")], day("2026-11-01"))
    now = datetime(2026, 11, 22, hour, minute, tzinfo=UTC)

    assert taken(service, Cursors(), now, 1) == [first]


def test_a_day_that_was_asked_for_too_early_is_not_left_out_later():
    service, cursors = JobService([source("a", daily_only=True)], day("2026-11-01")), Cursors()

    assert taken(service, cursors, datetime(2026, 11, 22, 5, tzinfo=UTC), 1) == [None]
    assert taken(service, cursors, datetime(2026, 11, 24, 11, tzinfo=UTC), 4) == [
        *("a 11-21", "a 11-22", "a 11-23", None)
    ]


def test_history_leaves_out_sources_that_are_only_daily():
    service = JobService([source("a", daily_only=True), source("b")], day("2026-11-01"))

    assert taken(service, Cursors(), NOON, 4) == ["a 11-21", "b 11-21", "b 11-01", "b 11-02"]


def test_history_begins_anew_before_the_last_36_hours():
    service = JobService([source("a"), source("b")], day("2026-11-19"))

    assert taken(service, Cursors(), NOON, 11)[2:] == [
        *("a 11-19", "b 11-19", "a 11-20", "b 11-20", "a 11-21", "b 11-21"),
        *("a 11-19", "b 11-19", "a 11-20"),
    ]


def test_a_start_date_within_the_last_36_hours_is_given_out_again_and_again():
    service = JobService([source("a")], day("2026-11-22"))

    assert taken(service, Cursors(), NOON, 3)[1:] == ["a 11-22", "a 11-22"]


def test_what_is_older_than_a_year_is_left_out_but_for_sources_with_full_history():
    service = JobService([source("a"), source("b", full_history=True)], day("2025-11-21"))
    cursors = Cursors()

    assert taken(service, cursors, NOON, 5)[2:] == ["b 11-21", "b 11-22", "a 11-23"]


def test_a_call_tries_as_many_jobs_as_there_are_sources():
    service, cursors = JobService([source("a"), source("b")], day("2025-11-01")), Cursors()
    taken(service, cursors, NOON, 2)

    asked = taken(service, cursors, NOON, 25)

    # Each call leaves out a date; with the 23rd of November a date is young enough.
    assert asked[:22] == [None] * 22
    assert asked[22:] == ["a 11-23", "b 11-23", "a 11-24"]


def test_a_writer_with_a_scope_does_not_hold_back_the_others():
    service, cursors = JobService([source("a"), source("b")], day("2026-11-01")), Cursors()

    assert taken(service, cursors, NOON, 3, Scope(datatype="b")) == [
        "b 11-21",
        "b 11-01",
        "b 11-02",
    ]
    assert taken(service, cursors, NOON, 5) == [
        "a 11-21",
        "a 11-01",
        "a 11-02",
        "a 11-03",
        "b 11-03",
    ]
    assert taken(service, cursors, NOON, 1, Scope("other")) == [None]


def test_a_new_source_joins_the_others_where_they_are():
    cursors = Cursors()
    taken(JobService([source("a")], day("2026-11-01")), cursors, NOON, 4)

    both = JobService([source("a"), source("b")], day("2026-11-01"))

    assert taken(both, cursors, NOON, 3) == ["a 11-04", "b 11-04", "a 11-05"]


def test_history_is_never_before_the_start_date():
    cursors = Cursors()
    taken(JobService([source("a")], day("2026-11-01")), cursors, NOON, 4)

    later = JobService([source("a")], day("2026-11-10"))

    assert taken(later, cursors, NOON, 1) == ["a 11-10"]


# The file of Gardener


def load(tmp_path: Path, text: str) -> JobService:
    file = tmp_path / "config.yml"
    file.write_text(text)
    return load_sources(file)


def test_a_file_of_gardener_is_read(tmp_path):
    service = load(tmp_path, SOURCES + "tracker: {timeout: 5h}\nmonitor: {polling_interval: 5m}\n")

    first, second = service.sources
    assert (first.bucket, first.filter, first.datasets.raw) == ("lab", ".*T??:??:00.*Z", "raw_ndt")
    assert (second.datatype, second.filter, second.datasets.tmp) == ("annotation2", "", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: [{bucket: b}]", "invalid start date"),
        ("start_date: 0001-01-01\nsources: [{bucket: b}]", "invalid start date"),
        ("start_date: 2019-08-01", "no configured jobs"),
        ("start_date: 2019-08-01\nsources: []", "no configured jobs"),
        (
            "start_date: 2019-08-01\nsources: [{daily_only: true, full_history: true}]",
            "invalid source date configuration",
        ),
        ("start_date: 2019-08-01\nsources: 5", "sources"),
        ("start_date: soon\nsources: [{}]", "start_date"),
        (
            f"start_date: 2019-08-01\nsources: [{{bucket: {'b' * 490}}}]",
            "sources.0: .*more than 489",
        ),
        ('start_date: 2019-08-01\nsources: [{datatype: "a\\0b"}]', "sources.0: .*NUL character"),
        ("a: [", "cannot be read"),
        ("", "invalid start date"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name(tmp_path, text, message):
    with pytest.raises(ConfigError, match=rf"config.yml: .*{message}"):
        load(tmp_path, text)


def test_the_start_date_is_cut_to_its_midnight(tmp_path):
    text = "start_date: 2026-11-01T05:00:00Z\nsources: [{datatype: a}]"

    assert taken(load(tmp_path, text), Cursors(), NOON, 2)[1] == "a 11-01"


# Several writers


def test_no_two_writers_get_the_same_job(ledgers, now):
    now.now = NOON
    way = Wsgi(front_of(ledgers))

    with ThreadPoolExecutor(8) as threads:
        bodies = list(threads.map(lambda _: way("/v2/job/next").body, range(24)))

    ids = [json.loads(body)["ID"] for body in bodies]
    assert len(set(ids)) == 24


def test_a_restart_goes_on_where_it_was(ledgers, open_ledgers, sources, now):
    now.now = NOON
    first = [json.loads(Wsgi(front_of(ledgers))("/v2/job/next").body)["ID"] for _ in range(3)]

    again = open_ledgers(Metrics(), config=sources)

    assert json.loads(Wsgi(front_of(again))("/v2/job/next").body)["ID"] not in first


class Files:
    """A storage that has files of some days."""

    def __init__(self, *days: int) -> None:
        self.days, self.asked = days, list[str]()

    def has_files(self, job) -> bool:
        self.asked.append(str(job))
        return job.date.day in self.days


@pytest.fixture
def looking(ledger: Ledger, store, now):
    now.now = NOON
    service = JobService([source("a")], day("2026-11-01"))

    def opened(files: Files) -> NextJobs:
        return NextJobs(store, ledger, service, files)

    return opened


def test_a_job_without_files_is_not_given_out_and_not_asked_for_again(looking):
    files = Files(21, 2)
    jobs = looking(files)

    found = [jobs.take([EVERYTHING])[0] for _ in range(3)]

    assert [str(job) if job else None for job in found] == ["20261121:e/a", None, "20261102:e/a"]
    assert files.asked == ["20261121:e/a", "20261101:e/a", "20261102:e/a"]
    assert not jobs.is_quick


def test_writers_who_look_at_the_same_job_still_get_different_ones(looking):
    """Each process has looked before one of them has taken the job."""
    first, second = looking(Files(21, 1)), looking(Files(21, 1))
    look = first._looked_at

    def look_and_be_late(*how):
        found = look(*how)
        if not late:
            late.append(second.take([EVERYTHING])[0])
        return found

    late: list[object] = []
    first._looked_at = look_and_be_late

    assert str(first.take([EVERYTHING])[0]) == "20261101:e/a"
    assert str(late[0]) == "20261121:e/a"


def test_a_job_without_a_date_is_told_and_not_added(ledgers, ledger, store):
    begun = ledgers.by_name["default"].next_jobs.service.begin({"daily": NO_DATE})
    places = {place: (cursor.round, cursor.date) for place, cursor in begun.items()}
    store.write(lambda c: ledger_cursors.write(c, "default", places))

    answer = Wsgi(front_of(ledgers))("/v2/job/next")

    assert (answer.status, answer.body) == (500, b"No job found. Try again.")
    assert ledger.num_jobs() == 0


def test_a_job_that_was_given_out_and_failed_is_given_out_again(ledger, looking, now):
    jobs = looking(Files(21, 1, 2, 3))
    [job] = jobs.take([EVERYTHING])
    ledger.set_job_error(job.key, "broken")
    now.now += timedelta(seconds=1)

    ledger.add_job(job)

    assert ledger.get_status(job.key).state == "init"
