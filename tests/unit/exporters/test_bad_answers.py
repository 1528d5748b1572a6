"""What masters and their proxies answer when something is wrong: nothing of it costs more."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.unit.loopback_server import Loopback, Reply
from tests.unit.teraslice import (
    FakeMaster,
    controller,
    execution,
    names,
    one,
    recorded,
    text,
    update,
)
from tests.unit.tls import Authority, tls_loopback
from tracker_service.exporters.health import Health
from tracker_service.exporters.masters import Master

CONTROLLERS = "/v1/cluster/controllers"
SPEC = Master(
    name="prod", url="http://a", display_url="http://a/", interval_s=30, timeout_s=10
).spec()


@pytest.fixture
def fake(loopback: Loopback) -> FakeMaster:
    return FakeMaster(loopback)


def failed(fake: FakeMaster, kind: str, query: str = "controllers", **more: object) -> str:
    """Update a master that was well before, expect a failure of a kind, and return the page."""
    before = update(FakeMaster(fake.server).master())
    fake.__post_init__()

    found = update(fake.master(**more), before.health)

    assert found.snapshot is None
    page = text(replace(found, snapshot=before.snapshot))
    assert one(page, "teraslice_up") == 0
    assert one(page, "teraslice_exporter_errors_total", error_type=kind, query_name=query) == 1
    assert one(page, "teraslice_exporter_errors", error_type="update_stats_errors") == 1
    assert one(page, "processed") == 176, "the last values stay"
    last = one(page, "teraslice_exporter_last_success_timestamp_seconds")
    assert last == before.health.last_success
    return page


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, b"<!doctype html><title>Log in</title>"), "not_json"),
        (Reply(200, b'[{"ex_id": "1", "jo'), "not_json"),
        (Reply(200, b"[" * 100_000), "not_json"),
        (Reply(200, b"\xff\xfe\x00"), "not_json"),
        (Reply(200, b""), "not_json"),
        (Reply(200, b"[]", length=100), "truncated"),
        (Reply(200, b'{"error": "api is not available"}'), "not_a_list"),
        (Reply(200, b"{}"), "not_a_list"),
        (Reply(200, b"null"), "not_a_list"),
        (Reply(500, b'{"error": "api is not available"}'), "status"),
        (Reply(405, b'{"error": 405, "message": "cannot GET endpoint"}'), "status"),
        (Reply(404, b'{"error": 404, "message": "Response Error"}'), "status"),
        (Reply(204), "status"),
        (Reply(401, b"Log in"), "unauthorized"),
        (Reply(403), "unauthorized"),
        (Reply(407), "unauthorized"),
        (Reply(302, headers={"Location": "https://elsewhere.lan/login"}), "redirect"),
        (Reply(301, headers={"Location": "/v2/cluster/controllers"}), "redirect"),
    ],
)
def test_an_answer_that_is_none_fails_the_update_and_keeps_the_last_values(fake, reply, kind):
    fake.replies[CONTROLLERS] = reply

    failed(fake, kind)


@pytest.mark.parametrize(
    ("path", "query", "reply", "kind"),
    [
        ("/", "info", Reply(200, b'{"error": "api is not available"}'), "not_a_master"),
        ("/", "info", Reply(200, b"[]"), "not_a_master"),
        ("/v1/jobs", "jobs", Reply(500, b"no"), "status"),
        ("/v1/cluster/state", "state", Reply(200, b"[]"), "not_an_object"),
        ("/v1/ex", "executions", Reply(200, b"{}"), "not_a_list"),
    ],
)
def test_each_query_that_fails_is_counted_by_its_name(fake, path, query, reply, kind):
    fake.replies[path] = reply

    failed(fake, kind, query)


def test_a_redirect_is_not_followed(fake, other_server):
    fake.replies[CONTROLLERS] = Reply(302, headers={"Location": other_server.origin})

    failed(fake, "redirect")

    assert other_server.asked == []


def test_only_the_total_of_a_query_that_failed_is_shown(fake):
    fake.replies[CONTROLLERS] = Reply(500)

    page = failed(fake, "status")

    assert one(page, "got_phase_firstByte") is not None, "there was an answer"
    assert one(page, "got_phase_total") is not None


def test_a_master_that_refuses_connections_has_a_total_and_no_phase(fake):
    page = failed(fake, "connection", url="http://127.0.0.1:1")

    assert one(page, "got_phase_total") is not None
    assert not {"got_phase_firstByte", "got_phase_download"} & names(page)
    assert one(page, "teraslice_query_phase_seconds", query_name="controllers", phase="tcp") is None


def test_a_name_that_nobody_knows_is_an_error_of_dns(fake):
    failed(fake, "dns", url="http://teraslice.invalid")


def test_a_file_of_credentials_that_is_gone_is_an_error_of_its_own(fake, tmp_path):
    failed(fake, "credentials", user="me", password_file=str(tmp_path / "gone"))


def test_a_secret_that_cannot_be_sent_is_not_told(fake, tmp_path):
    (tmp_path / "key").write_text("first\nsecond")

    with capture_logs() as logged:
        failed(fake, "credentials", header="X-Key", header_file=str(tmp_path / "key"))

    assert "second" not in str(logged)


def test_a_header_may_have_any_letter(fake, tmp_path):
    (tmp_path / "key").write_text("clé")

    found = update(fake.master(header="X-Key", header_file=str(tmp_path / "key")))

    assert found.health.is_up
    sent = fake.server.asked[0].headers["X-Key"]
    assert sent.encode("latin-1").decode() == "clé"


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path)


def test_a_private_authority_is_believed_where_it_is_named(authority):
    with tls_loopback(authority.certificate()) as server:
        fake = FakeMaster(server)
        url = server.origin.replace("http:", "https:")

        found = update(fake.master(url=url, ca_file=str(authority.file)))

    assert one(text(found), "teraslice_up") == 1
    phases = found.health.phases["controllers"]
    assert phases["tls"] > 0
    assert sum(phases.values()) - phases["total"] == pytest.approx(phases["total"], rel=0.01)


def test_an_authority_that_nobody_named_is_refused(authority):
    with tls_loopback(authority.certificate()) as server:
        fake = FakeMaster(server)

        found = update(fake.master(url=server.origin.replace("http:", "https:")))

    assert found.health.errors == {("certificate", "controllers"): 1}


def test_a_certificate_of_another_host_is_refused(authority):
    with tls_loopback(authority.certificate("teraslice.example.com")) as server:
        fake = FakeMaster(server)
        url = server.origin.replace("http:", "https:")

        found = update(fake.master(url=url, ca_file=str(authority.file)))

    assert found.health.errors == {("certificate", "controllers"): 1}


def test_plain_http_where_tls_is_expected_is_refused(fake):
    url = fake.server.origin.replace("http:", "https:")

    assert update(fake.master(url=url)).health.errors == {("tls", "controllers"): 1}


def values(page: str, *families: str, **labels: str) -> list[float | None]:
    return [one(page, name, **labels) for name in families]


def updated(fake: FakeMaster) -> str:
    found = update(fake.master())
    assert found.health.is_up, found.health.errors
    return text(found)


def mistakes(page: str, kind: str, query: str = "controllers") -> float | None:
    return one(page, "teraslice_exporter_errors_total", error_type=kind, query_name=query)


@pytest.mark.parametrize("bad", ["null", '"7"', "true", "[]", "{}", "NaN", "1e999", "1" * 400])
def test_a_value_that_is_no_number_loses_its_own_series_and_is_counted(fake, bad):
    rows = json.dumps([controller(1, processed="BAD"), controller(2)])
    fake.replies[CONTROLLERS] = Reply(200, rows.replace('"BAD"', bad).encode())
    fake.executions = [execution(1), execution(2)]

    page = updated(fake)

    first, second = {"ex_id": "ex-1"}, {"ex_id": "ex-2"}
    both_sets = (
        "processed",
        "teraslice_controller_slices_processed",
        "teraslice_controller_slices_processed_total",
    )
    assert values(page, *both_sets, **first) == [None, None, None]
    assert values(page, *both_sets, **second) == [176, 176, 176]
    assert values(page, "queued", "slicers", "started", **first) == [10000, 1, 1795317392.552]
    assert mistakes(page, "bad_value") == 1
    assert one(page, "teraslice_exporter_errors", error_type="update_metrics_errors") == 1
    assert one(page, "teraslice_up") == 1


def test_an_absent_number_is_a_bad_value(fake):
    row = controller(1)
    del row["queued"]
    fake.controllers = [row]

    page = updated(fake)

    assert one(page, "queued") is None
    assert mistakes(page, "bad_value") == 1


@pytest.mark.parametrize("row", [{}, None, 7, "text", [], {"ex_id": 7}, {"ex_id": ""}])
def test_a_row_without_an_id_is_left_out_and_counted(fake, row):
    fake.controllers = [row, controller(1)]
    fake.executions = [row, execution(1)]

    page = updated(fake)

    assert one(page, "processed", ex_id="ex-1") == 176
    assert one(page, "teraslice_controllers") == 1
    assert [mistakes(page, "bad_row", query) for query in ("controllers", "executions")] == [1, 1]


def test_of_rows_with_the_same_id_the_last_one_wins(fake):
    fake.controllers = [controller(1, processed=1), controller(1, processed=2)]

    page = updated(fake)

    assert one(page, "processed") == 2
    assert mistakes(page, "duplicate") == 1


def test_names_may_have_quotes_newlines_backslashes_and_any_letter(fake):
    name = 'once "quoted" job\nline2 \\ é \\n {a="b"} \u2028'
    fake.controllers = [controller(1, name=name)]

    page = updated(fake)

    assert one(page, "processed", name=name) == 176
    assert one(page, "teraslice_controller_slices_processed", job_name=name) == 176


@pytest.mark.parametrize(("name", "shown"), [("\ud800x", "?x"), ("x" * 5000, "x" * 1000)])
def test_half_a_character_and_an_endless_name_harm_nothing(fake, name, shown):
    fake.controllers = [controller(1, name=name)]

    assert one(updated(fake), "processed", name=shown) == 176


@pytest.mark.parametrize("bad", [None, 7, ["a"]])
def test_a_name_that_is_no_text_is_empty_and_counted(fake, bad):
    fake.controllers = [controller(1, name=bad)]

    page = updated(fake)

    assert one(page, "processed", name="") == 176
    assert mistakes(page, "bad_value") == 1


def test_the_dates_of_both_eras_are_read(fake):
    fake.controllers = [
        controller(1, started="2020-09-17T14:08:58.905-07:00", queuing_complete=""),
        controller(2, started="2020-09-17T21:08:58.905Z"),
        controller(3, started="", queuing_complete="2020-09-17T21:09:00.000Z"),
    ]

    page = updated(fake)

    extended = "teraslice_controller_queuing_complete_timestamp_seconds"
    shown = [
        values(page, "started", "queuing_complete", extended, ex_id=f"ex-{number}")
        for number in (1, 2, 3)
    ]
    assert shown == [
        [1600376938.905, 0, None],
        [1600376938.905, 0, None],
        [None, 1600376940, 1600376940],
    ]
    assert mistakes(page, "bad_value") is None


@pytest.mark.parametrize("bad", ["yesterday", 1600376938905, True, "2020-09-17T21:08:58", {}])
def test_a_date_that_is_none_is_left_out_and_counted(fake, bad):
    fake.controllers = [controller(1, started=bad, queuing_complete=bad)]

    page = updated(fake)

    assert values(page, "started", "queuing_complete") == [None, None]
    assert mistakes(page, "bad_value") == 2


def test_bad_values_of_executions_and_of_pods_cost_only_themselves(fake):
    fake.controllers = [controller(1), controller(2)]
    fake.executions = [
        execution(1, _status=None, _created="?", workers="6", cpu="1.5", memory=0),
        execution(2, _status="rescheduling", cpu=1.5, memory=3221225472),
    ]
    fake.state = {"node": {"active": [None, {"ex_id": 1, "image": "a:b"}]}, "other": None}

    page = updated(fake)

    assert one(page, "teraslice_execution_slicers", ex_id="ex-1") == 1
    assert one(page, "teraslice_execution_workers", ex_id="ex-1") is None
    assert one(page, "teraslice_execution_cpu_limit", ex_id="ex-2") == 1.5
    assert one(page, "teraslice_execution_memory_request", ex_id="ex-2") == 3221225472
    assert "teraslice_execution_info" not in names(page)
    assert "teraslice_execution_status" not in names(page)
    # Two statuses, a date, the workers, and the cpu that is limit and request.
    assert mistakes(page, "bad_value", "executions") == 6
    assert mistakes(page, "bad_row", "state") == 1


def test_without_a_controller_the_master_is_up_and_shows_none(fake):
    fake.controllers = []

    page = updated(fake)

    assert one(page, "teraslice_controllers") == 0
    assert "processed" not in names(page)


def test_an_execution_that_vanished_is_not_shown_any_more(fake):
    fake.controllers = [controller(1), controller(2)]
    before = update(fake.master())
    fake.controllers = [controller(2)]

    page = text(update(fake.master(), before.health))

    assert one(page, "processed", ex_id="ex-1") is None
    assert one(page, "processed", ex_id="ex-2") == 176


def test_counts_go_on_after_a_failure(fake):
    fake.replies[CONTROLLERS] = Reply(500)
    health = Health()
    for _ in range(3):
        health = Health.of_stored(
            json.loads(json.dumps(update(fake.master(), health).health.stored()))
        )
    fake.replies.clear()

    page = text(update(fake.master(), health))

    assert mistakes(page, "status") == 3
    assert one(page, "teraslice_up") == 1
    assert one(page, "teraslice_exporter_update_duration_seconds_count") == 4


def test_what_another_release_has_stored_is_understood():
    stored = Health(name="lab").stored() | {"new": 1}

    assert Health.of_stored(stored).name == "lab"
    assert Health.of_stored(stored | {"updates": [1]}) == Health()
    assert Master.from_spec(SPEC | {"new": 1}).name == "prod"


def test_a_worker_that_was_killed_is_seen(fake):
    fake.controllers = recorded("controllers_worker_killed.json")

    page = updated(fake)

    assert values(page, "workers_disconnected", "workers_joined") == [1, 1]
