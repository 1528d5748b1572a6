from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tracker_service import serve
from tracker_service.errors import ConfigError
from tracker_service.request_threads import HealthFirstWorker, MonitoredWorker
from tracker_service.settings import ServeSettings, Settings


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(state_dir=tmp_path)


def test_the_heartbeat_is_in_memory_where_that_can_be(settings):
    assert serve.options(settings)["worker_tmp_dir"] == "/dev/shm"


@pytest.mark.parametrize("memory", ["/nowhere", "/proc/self"])  # not there; not writable
def test_without_dev_shm_the_heartbeat_is_elsewhere_and_the_log_says_so(
    settings, tmp_path, monkeypatch, memory
):
    monkeypatch.setattr(serve, "_MEMORY", memory)
    monkeypatch.setattr(serve, "gettempdir", lambda: str(tmp_path))

    with capture_logs() as logged:
        assert serve.options(settings)["worker_tmp_dir"] == str(tmp_path)

    assert [line["directory"] for line in logged] == [memory]


def test_on_a_read_only_root_the_state_directory_will_do(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "_MEMORY", "/nowhere")
    monkeypatch.setattr(serve, "gettempdir", lambda: "/proc/self")

    assert serve.options(settings)["worker_tmp_dir"] == str(tmp_path)


def test_where_nothing_can_be_written_the_directories_are_named(settings, monkeypatch):
    monkeypatch.setattr(serve, "_MEMORY", "/nowhere")
    monkeypatch.setattr(serve, "gettempdir", lambda: "/proc/self")

    with pytest.raises(ConfigError, match="/nowhere, /proc/self, /nothing"):
        serve.options(settings.model_copy(update={"state_dir": "/nothing"}))


class Time:
    """The seconds of the monotonic clock; pauses pass at once."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


@pytest.fixture
def passing(monkeypatch) -> Time:
    time = Time()
    monkeypatch.setattr(serve, "time", time)
    return time


def test_processes_that_die_at_once_are_replaced_later_and_later(passing):
    prepare = serve._Forks(2).prepare

    for _ in range(2 + 100):
        prepare(None, None)

    assert passing.pauses[:3] == [0.5, 1.0, 2.0]
    assert passing.now > 300


def test_a_process_that_lived_for_long_is_replaced_at_once(passing):
    prepare = serve._Forks(1).prepare

    for _ in range(5):
        prepare(None, None)
        passing.now += 31

    assert passing.pauses == []


@pytest.mark.parametrize(
    ("bind", "proxies", "warnings"),
    [
        ("127.0.0.1:8080", (), 0),
        ("[::1]:8080,unix:/run/tracker/api.sock", (), 0),
        ("0.0.0.0:8080", ("127.0.0.1",), 1),
        ("10.1.2.4:8080", ("127.0.0.1", "10.1.2.3"), 0),
    ],
)
def test_an_api_that_clients_reach_without_a_proxy_is_warned_of(tmp_path, bind, proxies, warnings):
    chosen = ServeSettings(bind=bind, trusted_proxies=proxies)

    with capture_logs() as logged:
        serve.options(Settings(state_dir=tmp_path, serve=chosen))

    assert [line["event"] for line in logged] == ["api_without_proxy"] * warnings


def test_monitors_have_an_address_of_their_own_where_one_is_set(settings):
    chosen = ServeSettings(bind="127.0.0.1:8080", monitoring_bind="10.1.2.4:9180")

    options = serve.options(settings.model_copy(update={"serve": chosen}))

    assert options["bind"] == "127.0.0.1:8080,10.1.2.4:9180"
    assert options["worker_class"] is MonitoredWorker
    assert serve.options(settings)["worker_class"] is HealthFirstWorker


@pytest.mark.parametrize("address", ["9180", "127.0.0.1:1,127.0.0.1:2"])
def test_the_address_of_monitors_is_one_address(address):
    with pytest.raises(ValueError, match=r"name one address|write"):
        ServeSettings(monitoring_bind=address)
