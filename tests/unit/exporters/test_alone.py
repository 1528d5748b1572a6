"""The exporter runs alone as its predecessor was run: the same variables, port and routes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
import requests

from tests.unit.loopback_server import Loopback, Reply
from tests.unit.running_exporter import RunningExporter
from tests.unit.teraslice import ALL_SETS, NOW, FakeMaster, controller, names, one
from tests.unit.tls import Authority, tls_loopback
from tests.waiting import until
from tracker_service.errors import ConfigError
from tracker_service.exporters import alone
from tracker_service.exporters.alone import Exporter, Options

pytestmark = pytest.mark.slow


@pytest.fixture
def fake(loopback: Loopback) -> FakeMaster:
    return FakeMaster(loopback)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., RunningExporter]]:
    started: list[RunningExporter] = []

    def start(url: str, *words: str, **variables: str) -> RunningExporter:
        started.append(RunningExporter(tmp_path, url, *words, **variables))
        started[-1].wait()
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_the_two_routes_answer_as_they_always_did(run, fake):
    running = run(fake.server.origin, TERASLICE_DISPLAY_URL="https://shown.lan")

    welcome, metrics = running.get("/"), running.get("/metrics")

    assert welcome.text == "See the '/metrics' endpoint for the teraslice exporter."
    assert metrics.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert one(metrics.text, "processed", cluster="lab") == 176
    labels = {"url": "https://shown.lan/", "name": "lab"}
    assert one(metrics.text, "teraslice_controller_slices_processed", **labels) == 176
    assert running.get("/nothing").status_code == 404
    assert requests.head(f"http://localhost:{running.port}/metrics", timeout=60).text == ""


def test_it_updates_at_the_delay_and_ends_at_a_signal(run, fake):
    running = run(fake.server.origin, TERASLICE_QUERY_DELAY="50")
    until(lambda: len(fake.server.asked) > 3 * 5)
    fake.controllers = [controller(7)]
    until(lambda: one(running.get("/metrics").text, "processed", ex_id="ex-7") == 176)

    running.process.send_signal(signal.SIGTERM)

    assert running.process.wait(180) == 0


def test_bunyan_reads_its_log(run, fake):
    fake.replies["/"] = Reply(500)

    running = run(
        fake.server.origin, "--log-format", "bunyan", DEBUG="true", TERASLICE_QUERY_DELAY="100"
    )
    running.get("/metrics")
    until(lambda: any(line["msg"] == "http_request" for line in running.lines()))

    lines = running.lines()
    for line in lines:
        assert line.keys() >= {"name", "hostname", "pid", "level", "msg", "time", "v"}
        assert (line["v"], line["pid"], line["name"]) == (
            0,
            running.process.pid,
            "teraslice_exporter",
        )
        assert line["time"].endswith("Z")
    levels = {line["msg"]: line["level"] for line in lines}
    assert levels["exporter_started"] == 30
    assert levels["teraslice_update_failed"] == 40
    assert levels["http_request"] == 20


def test_the_sets_can_be_switched_off(run, fake):
    running = run(fake.server.origin, "--without-bare-names", "--without-extended")

    assert not {"processed", "teraslice_up"} & names(running.get("/metrics").text)


def test_a_private_authority_is_taken_from_nodes_variable(run, tmp_path):
    authority = Authority(tmp_path)
    with tls_loopback(authority.certificate()) as server:
        FakeMaster(server)
        url = server.origin.replace("http:", "https:")

        running = run(url, NODE_EXTRA_CA_CERTS=str(authority.file))

        assert one(running.get("/metrics").text, "teraslice_up") == 1


def refused(tmp_path: Path, url: str, **variables: str) -> str:
    running = RunningExporter(tmp_path, url, **variables)
    assert running.process.wait(180) == 1
    return running.log.read_text()


@pytest.mark.parametrize("url", ["", "teraslice:5678", "ftp://teraslice", "http://", "http://a:b"])
def test_without_a_url_it_says_what_is_missing(url):
    with pytest.raises(ConfigError, match="TERASLICE_URL: set it to a URL"):
        Options.of({"TERASLICE_URL": url})


def test_a_mistake_is_one_line(tmp_path):
    said = refused(tmp_path, "", TERASLICE_URL="nonsense")

    assert said.startswith("Error: TERASLICE_URL: set it to a URL")
    assert len(said.splitlines()) == 1


def test_a_port_in_use_is_named(tmp_path, loopback):
    port = loopback.origin.rpartition(":")[2]

    assert f"PORT: nobody can listen on {port}" in refused(tmp_path, loopback.origin, PORT=port)


@pytest.mark.parametrize(
    ("name", "text"),
    [("PORT", "99999"), ("PORT", "http"), ("TERASLICE_QUERY_DELAY", "0"), ("PORT", "-1")],
)
def test_a_number_that_is_none_is_named(name, text):
    with pytest.raises(ConfigError, match=name):
        Options.of({"TERASLICE_URL": "http://a", name: text})


def test_the_defaults_are_those_of_the_predecessor():
    found = Options.of({"TERASLICE_URL": "https://a.lan:8443/prefix/"})

    assert found.port == 3000
    assert found.master.interval_s == 30
    assert found.master.url == "https://a.lan:8443/prefix"
    assert found.master.display_url == "https://a.lan:8443/prefix/"


def test_user_and_password_in_the_url_are_sent_and_never_shown(fake):
    url = fake.server.origin.replace("http://", "http://me:s%3Acret@")
    exporter = Exporter(Options.of({"TERASLICE_URL": url}), ALL_SETS, lambda: NOW)

    exporter.update()

    assert {asked.headers["Authorization"] for asked in fake.server.asked} == {"Basic bWU6czpjcmV0"}
    page = b"".join(exporter.page()).decode()
    assert one(page, "teraslice_up") == 1
    assert "cret" not in page
    assert "cret" not in repr(Options.of({"TERASLICE_URL": url}))


def test_old_values_stay_for_a_while_and_then_vanish(fake, monkeypatch):
    exporter = Exporter(Options.of({"TERASLICE_URL": fake.server.origin}), ALL_SETS, lambda: NOW)
    exporter.update()
    fake.replies["/"] = Reply(500)
    exporter.update()
    kept = b"".join(exporter.page()).decode()
    assert (one(kept, "processed"), one(kept, "teraslice_up")) == (176, 0)

    monkeypatch.setattr(alone, "KEEP_S", 0.0)
    exporter.update()

    assert "processed" not in names(b"".join(exporter.page()).decode())


def test_an_update_that_breaks_is_followed_by_the_next(fake):
    options = Options.of({"TERASLICE_URL": fake.server.origin, "TERASLICE_QUERY_DELAY": "10"})
    exporter, stopped = Exporter(options, ALL_SETS, lambda: NOW), Event()
    broken = list(range(3))

    def update() -> None:
        if broken:
            broken.pop()
            raise ValueError
        stopped.set()

    exporter.update = update  # type: ignore[method-assign]
    thread = Thread(target=exporter.run, args=(stopped,))
    thread.start()
    thread.join(180)

    assert broken == []
    assert not thread.is_alive()


def test_updates_of_a_slow_master_do_not_overlap(fake):
    options = Options.of({"TERASLICE_URL": fake.server.origin, "TERASLICE_QUERY_DELAY": "50"})
    exporter, stopped = Exporter(options, ALL_SETS, lambda: NOW), Event()
    began, ended = [], []

    def update() -> None:
        began.append(time.monotonic())
        time.sleep(0.12)  # longer than two delays
        ended.append(time.monotonic())
        if len(ended) == 3:
            stopped.set()

    exporter.update = update  # type: ignore[method-assign]
    exporter.run(stopped)

    assert len(began) == 3
    assert all(later >= earlier for later, earlier in zip(began[1:], ended, strict=False))
