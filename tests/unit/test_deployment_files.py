"""The files for systemd, Docker and Compose: linted where the linter is here, and consistent."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.logged import logged
from tracker_service import serve
from tracker_service.cli import running
from tracker_service.settings import Settings, load

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or ""
ANALYZE = shutil.which("systemd-analyze") or ""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((CONFIG / "compose.yaml").read_text())


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a command that is there."""
    text = (CONFIG / "tracker.service").read_text()
    assert text.count("/opt/tracker/bin/tracker ") == 1
    file = tmp_path / "tracker.service"
    file.write_text(text.replace("/opt/tracker/bin/tracker ", f"{sys.executable} "))
    return file


def checked(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.skipif(not ANALYZE, reason="no systemd-analyze")
def test_systemd_has_nothing_to_say_against_the_unit(unit: Path) -> None:
    told = checked(ANALYZE, "verify", str(unit)).splitlines()

    # It also speaks of the units of other packages on this machine.
    assert [line for line in told if not line.startswith("/lib/systemd/")] == []


@pytest.mark.skipif(not ANALYZE, reason="no systemd-analyze")
def test_the_unit_exposes_little(unit: Path) -> None:
    told = checked(ANALYZE, "security", "--offline=true", "--threshold=20", str(unit))

    assert re.search(r"exposure level for tracker.service: 1\.\d OK", told)


def test_the_unit_gives_the_service_time_to_stop() -> None:
    [seconds] = re.findall(
        r"^TimeoutStopSec=(\d+)$", (CONFIG / "tracker.service").read_text(), re.M
    )

    assert int(seconds) > serve.options(Settings())["graceful_timeout"]
    assert int(seconds) > Settings().gateway.longest_answer_s + running._STOP_S


@pytest.mark.skipif(not HADOLINT, reason="no hadolint")
def test_hadolint_has_nothing_to_say_against_the_dockerfile() -> None:
    assert checked(HADOLINT, str(CONFIG / "Dockerfile")) == ""


def test_the_image_installs_only_what_is_locked_and_runs_as_nobody() -> None:
    text = (CONFIG / "Dockerfile").read_text()

    installs = re.findall(r"pip install((?:.|\\\n)*)\n", text)
    assert all("--require-hashes" in each or "--no-deps" in each for each in installs)
    assert re.findall(r"^USER (.*)$", text, re.M) == ["10001"]
    assert "HEALTHCHECK" in text


def test_all_that_the_image_copies_is_here() -> None:
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", (CONFIG / "Dockerfile").read_text(), re.M)

    assert sources
    assert [name for each in sources for name in each.split() if not (ROOT / name).exists()] == []


def locked(name: str) -> set[str]:
    """What a lock file installs, as `name==version`."""
    text = (CONFIG / f"requirements-{name}.txt").read_text()
    return set(re.findall(r"^([a-z0-9-]+==\S+)", text, re.M))


def test_the_image_runs_what_the_tests_run() -> None:
    image = locked("image")

    assert image <= locked("dev")
    assert {name.partition("==")[0] for name in image} >= {"psycopg", "pymysql", "setuptools"}


def test_kerberos_adds_to_what_the_tests_run_and_changes_nothing_of_it() -> None:
    tested = dict(each.split("==") for each in locked("dev"))
    kerberos = dict(each.split("==") for each in locked("kerberos"))

    assert {"requests-kerberos", "pyspnego", "gssapi", "krb5"} <= kerberos.keys() - tested.keys()
    assert {name: tested[name] for name in kerberos if name in tested} == {
        name: version for name, version in kerberos.items() if name in tested
    }


def test_compose_says_nothing_that_the_service_does_not_know(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in compose["x-tracker"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{.*?}", "x", value))
    monkeypatch.setenv("TRACKER_GATEWAY__URL", "https://knox.example.com/gateway/default")
    monkeypatch.delenv("TRACKER_GATEWAY__CA_FILE")  # is in the container

    settings = load()

    assert settings.store_url == "postgresql+psycopg://tracker:x@db/tracker"
    assert settings.serve.processes == 2


def test_compose_starts_the_parts_in_order_and_opens_one_port(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert set(services) == {"db", "schema", "api", "worker", "nginx"}
    for part in ("api", "worker"):
        assert services[part]["depends_on"] == {
            "schema": {"condition": "service_completed_successfully"}
        }
    assert {name: s["ports"] for name, s in services.items() if "ports" in s} == {
        "api": ["443:443"]
    }
    assert services["nginx"]["network_mode"] == "service:api"


def test_what_compose_mounts_from_here_is_here(compose: dict[str, Any]) -> None:
    mounts = [v for s in compose["services"].values() for v in s.get("volumes", [])]

    assert "./nginx.conf:/etc/nginx/conf.d/default.conf:ro" in mounts
    assert (CONFIG / "nginx.conf").exists()


def test_gunicorn_takes_its_options_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_SERVE__PROCESSES", "3")
    monkeypatch.setenv("TRACKER_SERVE__BIND", "127.0.0.1:9999")
    names: dict[str, Any] = {}

    with logged():  # which the file configures, too
        exec((CONFIG / "gunicorn.conf.py").read_text(), names)

    expected = serve.options(load())
    assert callable(expected.pop("pre_fork"))  # of an object that remembers the last forks
    assert {name: names[name] for name in expected} == expected
    assert (names["workers"], names["bind"]) == (3, "127.0.0.1:9999")
    assert names["wsgi_app"] == "tracker_service.serve:app()"


def test_images_of_others_are_named_by_digest(compose: dict[str, Any]) -> None:
    images = re.findall(r"^FROM (\S+)", (CONFIG / "Dockerfile").read_text(), re.M)
    images += [service["image"] for service in compose["services"].values()]

    assert {image for image in images if not re.search("@sha256:[0-9a-f]{64}$", image)} == {
        "tracker-service"
    }


def test_what_the_service_may_take_of_the_machine_is_limited(compose: dict[str, Any]) -> None:
    unit = (CONFIG / "tracker.service").read_text()

    assert {"mem_limit", "cpus", "pids_limit", "ulimits"} <= compose["x-tracker"].keys()
    for limit in ("MemoryMax=", "CPUQuota=", "TasksMax=", "LimitCORE=0"):
        assert f"\n{limit}" in unit
