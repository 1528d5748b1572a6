from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tracker_service import listening
from tracker_service.errors import ConfigError
from tracker_service.settings import load
from tracker_service.settings.binds import binds


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:8080",
        "0.0.0.0:80",
        "[::1]:8080",
        "tracker.example.com:65535",
        "unix:/run/tracker/api.sock",
        "fd://3",
        "127.0.0.1:8080, unix:/run/a.sock",
    ],
)
def test_addresses_on_which_gunicorn_can_listen_are_taken(text, monkeypatch):
    monkeypatch.setenv("TRACKER_SERVE__BIND", text)

    assert load().serve.bind == text


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("8080", "127.0.0.1:8080 for this machine alone"),
        (":8080", "0.0.0.0:8080 for all its addresses"),
        ("127.0.0.1", "such as 127.0.0.1:8080"),
        ("tracker.example.com", "such as tracker.example.com:8080"),
        ("127.0.0.1:", "host:port"),
        ("127.0.0.1:http", "host:port"),
        ("127.0.0.1:0", "from 1 to 65535"),
        ("127.0.0.1:70000", "from 1 to 65535"),
        ("::1:8080", "host:port"),
        ("http://127.0.0.1:8080", "without a scheme"),
        ("127.0.0.1:8080/tracker", "host:port"),
        ("unix:/run/my tracker/api.sock", "without spaces"),
        ("unix:api.sock", "absolute path"),
        ("unix:/" + "x" * 120, "at most 107 bytes"),
        ("/run/api.sock", "unix:/path"),
        ("", "host:port"),
        ("127.0.0.1:8080,", "host:port"),
        (" ", "host:port"),
    ],
)
def test_addresses_that_cannot_work_are_refused_with_the_remedy(text, remedy, monkeypatch):
    monkeypatch.setenv("TRACKER_SERVE__BIND", text)

    with pytest.raises(ConfigError, match=remedy) as refused:
        load()

    assert "TRACKER_SERVE__BIND: serve.bind: " in str(refused.value)


def test_a_number_in_the_file_is_told_the_same(tmp_path):
    file = tmp_path / "tracker.yml"
    file.write_text("serve:\n  bind: 8080\n")

    with pytest.raises(ConfigError, match=r"line 2: serve\.bind: .*127\.0\.0\.1:8080"):
        load(file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY__URL", "localhost:8443/gateway/sandbox"),
        ("GATEWAY__READ_TIMEOUT_S", "inf"),
        ("GATEWAY__CONNECT_TIMEOUT_S", "nan"),
        ("GATEWAY__TOKEN_KEYS", "/no/such/file"),
        ("GATEWAY__TOKEN_KEYS", "ftp://keys"),
        ("COPYING__RETENTION_H", "1e300"),
        ("COPYING__RETRY_AFTER_S", "inf"),
        ("POLLING__LISTED_H", "-1"),
        ("SERVE__THREADS", "100000"),
        ("SERVE__USER_HEADER", "X Remote User"),
        ("WORKER__LEASE_S", "0"),
    ],
)
def test_values_that_cannot_work_are_refused_at_the_start(name, value, monkeypatch):
    monkeypatch.setenv(f"TRACKER_{name}", value)

    with pytest.raises(ConfigError, match=f"TRACKER_{name}: "):
        load()


# Addresses that are well formed, and cannot be had


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_named_at_the_start(port):
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: .*Address already in use"):
        listening.check_addresses(f"127.0.0.1:{port}")


def test_a_port_that_was_used_a_moment_ago_is_free(port):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address), server.accept()[0]:
            pass

    listening.check_addresses(f"127.0.0.1:{address[1]}")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_that_this_machine_has_not_is_named(host):
    with pytest.raises(ConfigError, match=f"serve.bind: {host}:8080"):
        listening.check_addresses(f"{host}:8080")


def test_a_socket_in_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no file can be made"):
        listening.check_addresses(f"unix:{tmp_path}/run/api.sock")


def test_a_socket_that_another_process_listens_on_is_named(tmp_path):
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(ConfigError, match="another process listens"):
            listening.check_addresses(f"unix:{path}")

    listening.check_addresses(f"unix:{path}")  # it is left over now


def test_a_file_is_not_taken_for_a_socket(tmp_path):
    Path(tmp_path / "api.sock").write_text("precious")

    with pytest.raises(ConfigError, match="a file of this name"):
        listening.check_addresses(f"unix:{tmp_path}/api.sock")


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def address_string(self) -> str:
        return "client"

    def log_message(self, *_: object) -> None:
        pass


class UnixServer(HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)


def unix_server(path: str) -> HTTPServer:
    address: Any = path  # the type of the package knows only internet addresses
    return UnixServer(address, Ready)


@pytest.mark.parametrize("kind", ["tcp", "unix", "inherited"])
def test_the_service_greets_wherever_it_listens(tmp_path, kind):
    if kind == "inherited":
        assert listening.answers(binds("fd://3")[0], "/readyz")
        return
    path = f"{tmp_path}/api.sock"
    server = HTTPServer(("127.0.0.1", 0), Ready) if kind == "tcp" else unix_server(path)
    text = f"127.0.0.1:{server.server_address[1]}" if kind == "tcp" else f"unix:{path}"
    thread = Thread(target=server.serve_forever)
    thread.start()

    try:
        assert listening.answers(binds(text)[0], "/readyz")
        assert not listening.answers(binds(text)[0], "/other")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
