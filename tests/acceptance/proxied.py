"""Run the real nginx and the real gunicorn with the files in `config/`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.ports import free_port, listens
from tests.waiting import GENEROUS_S, until
from tracker_service.supervisor import die_with_parent

CONFIG = Path(__file__).parents[2] / "config"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_AROUND = """
daemon off;
{user}
pid {home}/nginx.pid;
error_log {home}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/tracker.conf;
}}
"""


class Front:
    """An nginx with `config/nginx.conf`, in which only names, ports and paths are replaced."""

    def __init__(self, home: Path, behind: str, **more: str) -> None:
        """Write the files.

        Args:
            home: an empty directory for all that nginx writes.
            behind: HOST:PORT of the gunicorn, or `unix:` and the path of its socket.
            more: other values of directives that stand in the file: `proxy_read_timeout="1s"`.
        """
        self.home, self.behind, self.ca_file = home, behind, home / "tls.pem"
        self._port = free_port()
        self.url = f"https://localhost:{self._port}"
        home.mkdir(parents=True)
        _make_certificate(home)
        text = (CONFIG / "nginx.conf").read_text()
        for old, new in {
            "127.0.0.1:8080;": f"{behind};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self._port} ssl;",
            "listen [::]:443 ssl;": "",
            "server_name tracker.example.com;": "server_name localhost;",
            "/etc/nginx/tls/tracker.pem": str(self.ca_file),
            "/etc/nginx/tls/tracker.key": str(home / "tls.key"),
            "/var/log/nginx/access.log": str(home / "access.log"),
        }.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        lines = [_replaced(line, more) for line in text.splitlines()]
        (home / "tracker.conf").write_text("\n".join(lines))
        user = "user root;" if os.geteuid() == 0 else ""
        (home / "nginx.conf").write_text(_AROUND.format(home=home, user=user))

    @contextmanager
    def running(self) -> Iterator[Front]:
        """Run nginx for the length of the block."""
        process = subprocess.Popen(
            [str(NGINX), "-p", str(self.home), "-c", str(self.home / "nginx.conf")],
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: listens(self._port) or process.poll() is not None)
            assert process.poll() is None, self.errors()
            yield self
        finally:
            end(process)

    def errors(self) -> str:
        return (self.home / "error.log").read_text()

    def accesses(self) -> str:
        return (self.home / "access.log").read_text()

    def session(self, user: str | None = None) -> requests.Session:
        """Return a client that trusts the certificate of this nginx."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.ca_file)
        if user:
            session.auth = (user, f"{user}-password")
        return session


@contextmanager
def gunicorn(
    log: Path, environment: Mapping[str, str], *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `gunicorn -c config/gunicorn.conf.py` for the length of the block."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TRACKER_")}
    command = [sys.executable, "-m", "gunicorn", "-c", str(CONFIG / "gunicorn.conf.py"), *arguments]
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            env={**clean, **environment},
            stdout=file,
            stderr=file,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - calls prctl and nothing else
        )
    try:
        bind = environment["TRACKER_SERVE__BIND"]
        until(lambda: process.poll() is not None or _takes_connections(bind))
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, and kill it if it does not end."""
    process.terminate()
    try:
        process.wait(GENEROUS_S)
    finally:
        process.kill()
        process.wait()


def _takes_connections(bind: str) -> bool:
    place, _, end = bind.rpartition(":")
    return Path(end).is_socket() if place == "unix" else listens(int(end))


def _replaced(line: str, values: Mapping[str, str]) -> str:
    name = line.split(maxsplit=1)[0] if line.strip() else ""
    return f"{name} {values[name]};" if name in values else line


def _make_certificate(home: Path) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout tls.key -out tls.pem"
    )
    subprocess.run(command.split(), cwd=home, check=True, capture_output=True)
