"""A ledger is moved from a Gardener and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.unit.fakes import NOW
from tests.unit.ledger.conftest import ledger_job
from tests.unit.ledger.writers import Wsgi, front_of
from tracker_service.errors import BadInput
from tracker_service.ledger import go_json
from tracker_service.ledger.saved_state import export_state, import_dates, import_state

KEY = "lab/ndt/ndt7/20240102"
JOB = (
    '{"Bucket":"lab","Experiment":"ndt","Datatype":"ndt7","Date":"2024-01-02T00:00:00Z",'
    '"Filter":"a\\u0026b","Datasets":{"Tmp":"tmp_ndt","Raw":"raw_ndt","Join":"ndt"}}'
)
OTHER = (
    '{"Bucket":"lab","Experiment":"ndt","Datatype":"","Date":"2024-01-02T00:00:00-08:00",'
    '"Datasets":{"Tmp":"","Raw":"","Join":""}}'
)
STATUS = (
    '{"HeartbeatTime":"2024-01-03T04:05:06.5Z","UpdateCount":7,"History":['
    '{"State":"init","Start":"2024-01-03T00:00:00.123456Z",'
    '"DetailTime":"2024-01-03T00:00:01Z","Detail":"starting \\u003ctasks\\u003e"},'
    '{"State":"parsing","Start":"2024-01-03T00:00:01Z",'
    '"DetailTime":"2024-01-03T00:00:01Z","Detail":""},'
    '{"State":"failed","Start":"2024-01-03T00:00:02Z",'
    '"DetailTime":"2024-01-03T00:00:02Z","Detail":"parsing: ünïcode \\u2028"}]}'
)
NEW = (
    '{"HeartbeatTime":"0001-01-01T00:00:00Z","UpdateCount":0,"History":['
    '{"State":"init","Start":"2024-01-03T00:00:00Z",'
    '"DetailTime":"2024-01-03T00:00:00Z","Detail":""}]}'
)
SAVED = (
    f'{{"SaveTime":"2026-11-22T05:00:00Z","Statuses":{{"lab/ndt//20240102":{NEW},"{KEY}":{STATUS}}},'
    f'"Jobs":{{"lab/ndt//20240102":{OTHER},"{KEY}":{JOB}}}}}'
)


def exported(store) -> str:
    return "".join(export_state(store, "default", NOW))


def test_what_is_imported_is_exported_to_the_byte(store, ledger):
    assert import_state(store, "default", SAVED) == 2

    assert exported(store) == SAVED
    status = ledger.get_status(KEY)
    assert (status.label, status.update_count) == ("parsing-failed", 7)
    assert status.heartbeat_time == datetime(2024, 1, 3, 4, 5, 6, 500000, tzinfo=UTC)


def test_work_goes_on_after_an_import(store, ledger):
    import_state(store, "default", SAVED)

    ledger.set_status("lab/ndt//20240102", "parsing", "x")
    ledger.add_job(ledger_job())

    assert ledger.get_status("lab/ndt//20240102").update_count == 1
    assert ledger.get_status(KEY).run == 1


def test_an_empty_ledger_is_exported_as_one(store):
    assert json.loads(exported(store)) == {
        "SaveTime": "2026-11-22T05:00:00Z",
        "Statuses": {},
        "Jobs": {},
    }
    assert import_state(store, "default", exported(store)) == 0
    assert import_state(store, "default", "{}") == 0


def test_only_the_last_run_is_exported(store, ledger):
    ledger.add_job(ledger_job())
    ledger.set_status(KEY, "complete", "first")
    ledger.add_job(ledger_job())

    [history] = [s["History"] for s in json.loads(exported(store))["Statuses"].values()]

    assert [info["State"] for info in history] == ["init"]


def test_nothing_is_imported_into_a_ledger_that_has_one_of_the_jobs(store, ledger):
    ledger.add_job(ledger_job())

    with pytest.raises(BadInput, match="already"):
        import_state(store, "default", SAVED)

    assert ledger.num_jobs() == 1


def without(name: str) -> str:
    return SAVED.replace(f'"{name}":', '"unknown":', 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("[]", "object of JSON"),
        ('{"Jobs": 5}', "no objects"),
        (SAVED.replace(f'"{KEY}":{JOB}', f'"x":{JOB}'), f"Jobs has no {KEY}"),
        (SAVED.replace("20240102", "20240103"), "not that of its job"),
        (SAVED.replace('"History":[{', '"History":[],"X":[{', 1), "no history"),
        (SAVED.replace('"UpdateCount":7', '"UpdateCount":"7"'), "UpdateCount"),
        (SAVED.replace("2024-01-03T00:00:02Z", "soon"), "soon is no time"),
        (SAVED.replace('"Bucket":"lab"', '"Bucket":5'), "bucket is 5"),
        (SAVED.replace(JOB, "5"), "object of JSON"),
        (SAVED.replace('"failed"', f'"{"x" * 300}"'), "too long"),
    ],
)
def test_a_file_that_is_no_saved_state_is_refused_and_changes_nothing(store, ledger, text, message):
    with pytest.raises(BadInput, match=message):
        import_state(store, "default", text)

    assert ledger.num_jobs() == 0


def test_names_of_fields_are_read_in_any_case_and_unknown_ones_left_out(store, ledger):
    folded = SAVED.replace('"Experiment"', '"EXPERIMENT"').replace('"Detail"', '"detail"')

    import_state(store, "default", folded.replace('"Bucket"', '"New":[1],"Bucket"'))

    assert exported(store) == SAVED


def test_characters_that_no_database_takes_are_replaced(store, ledger):
    import_state(store, "default", SAVED.replace("ünïcode", "\\u0000\\ud800"))

    assert "\ufffd\ufffd" in ledger.get_status(KEY).error


def test_nanoseconds_are_cut_to_microseconds():
    assert go_json.time_text(go_json.date_of("2024-01-02T03:04:05.123456789Z")) == (
        "2024-01-02T03:04:05.123456Z"
    )
    assert go_json.time_text(go_json.date_of("2024-01-02T03:04:05.1+02:00")) == (
        "2024-01-02T03:04:05.1+02:00"
    )
    with pytest.raises(BadInput, match="no time zone"):
        go_json.date_of("2024-01-02T03:04:05")


def test_the_iterators_go_on_at_their_saved_dates(store, ledgers, now):
    now.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    service = ledgers.by_name["default"].next_jobs.service

    dates = {
        "daily": '{"Date":"2026-11-19T00:00:00Z"}',
        "historical": '{"Date":"2026-11-05T00:00:00Z"}',
    }
    import_dates(store, "default", service, dates)

    way = Wsgi(front_of(ledgers))
    given = [json.loads(way("/v2/job/next").body)["ID"][-8:] for _ in range(8)]
    assert given == ["20261119"] * 2 + ["20261120"] * 2 + ["20261121"] * 2 + ["20261105"] * 2
    with pytest.raises(BadInput):
        import_dates(store, "default", service, {"daily": "{}"})
