"""The whole page, for each way to run Teraslice and for each era of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.loopback_server import Loopback
from tests.unit.teraslice import (
    ALL_SETS,
    ANSWERS,
    URL,
    FakeMaster,
    Samples,
    controller,
    execution,
    recorded,
    samples,
    text,
    update,
)
from tracker_service.exporters.exposition import Exposed, page
from tracker_service.exporters.families import families
from tracker_service.exporters.health import Health
from tracker_service.exporters.scraping import Update

GOLDEN = Path(__file__).parent / "golden"
PHASES = ("wait", "dns", "tcp", "tls", "request", "first_byte", "download", "total")
QUERIES = ("controllers", "info", "jobs", "state", "executions")
IMAGE = "internal.example:5000/teraslice:v0.70.0_1"
#: What the names of set A break, and one of set B, as promtool says it; all of it must stay.
KEPT_AGAINST_THE_RULES = {
    "got_phase_firstByte metric names should be written in 'snake_case' not 'camelCase'",
    'got_phase_total non-counter metrics should not have "_total" suffix',
    "teraslice_controller_slicers_count non-histogram and non-summary metrics should not have "
    '"_count" suffix',
}


@pytest.fixture
def fake(loopback: Loopback) -> FakeMaster:
    return FakeMaster(loopback)


def native_old(fake: FakeMaster) -> None:
    """Before 0.86.1 a date that is not set was an empty text; older ones had local offsets."""
    fake.info |= {"node_version": "v12.18.3", "teraslice_version": "v0.70.0"}
    fake.controllers = [
        controller(1, queuing_complete=""),
        controller(
            2,
            started="2020-09-17T14:08:58.905-07:00",
            queuing_complete="2020-09-17T14:09:00.000-07:00",
            job_duration=31,
        ),
    ]
    fake.executions = [execution(1), execution(2, _status="stopping")]


def native_new(fake: FakeMaster) -> None:
    """Keep what a real master 2.0.0 has answered, with a name as people write them."""
    fake.controllers = [controller(1, name='a "name"\nof two lines')]
    fake.executions = [execution(1)]


def pod(number: int, **more: Any) -> dict[str, Any]:
    name = f"ts-exc-{number}"
    usual = {"assets": [], "assignment": "execution_controller", "image": IMAGE}
    where = {"pod_name": name, "pod_ip": "192.0.2.7", "worker_id": name}
    return usual | where | {"ex_id": f"ex-{number}", "job_id": f"job-{number}"} | more


def node(*active: dict[str, Any]) -> dict[str, Any]:
    not_known = dict.fromkeys(("pid", "node_version", "teraslice_version", "total"), "N/A")
    here = {"node_id": "192.0.2.1", "hostname": "192.0.2.1", "state": "connected"}
    return not_known | here | {"available": "N/A", "active": list(active)}


def kubernetes_old(fake: FakeMaster) -> None:
    """One limit was for requests and limits alike."""
    native_old(fake)
    fake.info["clustering_type"] = "kubernetes"
    fake.executions = [execution(n, cpu=1.5, memory=3221225472) for n in (1, 2)]
    master = {"worker_id": "ts-master", "assignment": "cluster_master", "image": IMAGE}
    fake.state = {"192.0.2.1": node(master, pod(1), pod(2))}


def kubernetes_new(fake: FakeMaster) -> None:
    """Requests and limits have values of their own, and images come by digest."""
    fake.info |= {"clustering_type": "kubernetesV2", "teraslice_version": "v3.18.0"}
    fake.controllers = [controller(1), controller(2)]
    resources = {
        "resources_requests_cpu": 0.5,
        "resources_limits_cpu": 2,
        "resources_requests_memory": 1073741824,
        "resources_limits_memory": 2147483648,
    }
    fake.executions = [execution(1, **resources), execution(2)]
    digest = f"ghcr.io/terascope/teraslice@sha256:{'0' * 64}"
    tagged = "ghcr.io/terascope/teraslice:v3.18.0-nodev22"
    fake.state = {"192.0.2.1": node(pod(1, image=tagged), pod(2, image=digest))}


SETTINGS: tuple[Callable[[FakeMaster], None], ...] = (
    native_old,
    native_new,
    kubernetes_old,
    kubernetes_new,
)


def with_fixed_times(found: Update) -> Update:
    """Return an update whose times are those of the golden pages."""
    phases = {query: {phase: 0.001 * n for n, phase in enumerate(PHASES, 1)} for query in QUERIES}
    assert set(found.health.phases) == set(QUERIES)
    health = replace(found.health, phases=phases, updates=[1, *[0] * 9], updates_s=0.025)
    return replace(found, health=health)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.__name__)
def test_the_page_is_as_it_was_written_down(fake, setting):
    setting(fake)

    found = text(with_fixed_times(update(fake.master())))

    assert found == (GOLDEN / f"{setting.__name__}.txt").read_text()


def of_release(page_text: str) -> Samples:
    """Return the series of the families of the last release, without those of time."""
    kept = {family.name for family in families(with_bare=False, with_extended=False)}
    kept -= {"teraslice_query_duration_seconds"}
    return {key: value for key, value in samples(page_text).items() if key[0] in kept}


def test_in_native_clustering_all_that_the_release_showed_has_the_same_labels_and_values(fake):
    """It showed neither durations nor errors there, because it broke off in between."""
    row = recorded("controllers_running.json")[0] | {"processed": 386}
    fake.controllers = [row]
    fake.executions = [recorded("ex_one.json") | {"_updated": "2026-11-22T03:17:18.417Z"}]
    here = "http://127.0.0.1:5678/"

    found = of_release(text(update(fake.master()), url=here))

    showed = of_release((ANSWERS / "release_native.txt").read_text())
    assert len(showed) == 27
    assert {key: found.get(key) for key in showed} == showed
    assert {name for name, _ in found.keys() - showed.keys()} == {"teraslice_exporter_errors"}


WORKERS = {"active": 6, "available": 0, "joined": 6}
DATES = {"_created": "2020-07-09T21:30:34.537Z", "_updated": "2020-07-09T21:30:42.745Z"}


def in_kubernetes(number: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the row, the execution and the pod that the recorded exposition was made of."""
    ids: dict[str, Any] = {
        "ex_id": f"5ba1da6a-0ba2-49f4-92c3-{number:012d}",
        "job_id": f"7e6dfa3c-6665-455d-9d52-{number:012d}",
        "name": "my_job_name" if number == 0 else f"job-{number}",
    }
    numbers: dict[str, Any] = {
        "workers_active": 6,
        "workers_available": 0,
        "workers_joined": 6,
        "failed": 1,
    }
    row = controller(**ids, **numbers, processed=204156 + number, queued=7, slicers=1)
    created: dict[str, Any] = {
        "_created": "2020-07-09T21:30:34.537Z",
        "_updated": "2020-07-09T21:30:42.745Z",
    }
    stored = execution(**ids, **created, workers=6, slicers=1, cpu=1.5, memory=3221225472)
    return row, stored, pod(number, **ids, image="internal.example/teraslice:v0.70.0_1")


def test_in_kubernetes_all_that_the_release_showed_has_the_same_labels_and_values(fake):
    both = [in_kubernetes(number) for number in (0, 1)]
    fake.controllers = [row for row, _, _ in both]
    fake.executions = [stored for _, stored, _ in both]
    fake.state = {"node": node(*(its_pod for _, _, its_pod in both))}
    fake.info = {
        "arch": "x64",
        "clustering_type": "kubernetes",
        "name": "ts-prod",
        "node_version": "v12.18.3",
        "platform": "linux",
        "teraslice_version": "v0.70.0",
    }

    found = text(update(fake.master()))

    assert of_release(found) == of_release((ANSWERS / "release_kubernetes.txt").read_text())
    queries = {
        dict(labels)["query_name"]
        for name, labels in samples(found)
        if name == "teraslice_query_duration_seconds"
    }
    assert queries == set(QUERIES)


def heads(page_text: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", page_text, re.M))


def test_the_names_and_types_of_the_release_are_all_there(fake):
    showed = heads((ANSWERS / "release_kubernetes.txt").read_text())
    assert len(showed) == 22

    found = heads(text(update(fake.master())))

    assert {name: found[name] for name in showed} == showed


@pytest.mark.parametrize(
    ("with_bare", "with_extended", "number"),
    [
        (True, True, 18 + 22 + 18),
        (False, True, 22 + 18),
        (True, False, 18 + 22),
        (False, False, 22),
    ],
)
def test_the_bare_names_and_the_extended_set_can_be_switched_off(
    fake, with_bare, with_extended, number
):
    shown = families(with_bare=with_bare, with_extended=with_extended)

    found = heads(text(update(fake.master()), shown))

    assert len(found) == number
    assert ("processed" in found, "teraslice_up" in found) == (with_bare, with_extended)


def test_bare_phases_are_milliseconds_and_the_others_seconds(fake):
    found = with_fixed_times(update(fake.master()))

    lines = text(found).splitlines()

    assert 'got_phase_firstByte{cluster="prod"} 6.0' in lines
    assert 'got_phase_download{cluster="prod"} 7.0' in lines
    assert 'got_phase_total{cluster="prod"} 8.0' in lines
    start = 'teraslice_query_phase_seconds{query_name="controllers",phase="total"'
    assert any(line.startswith(start) and line.endswith(" 0.008") for line in lines)


def exposed(fake: FakeMaster) -> Iterator[Exposed]:
    for number in (1, 2):
        fake.info = recorded("root.json") | {"name": f"reported-{number}"}
        fake.controllers, fake.executions = [controller(number)], [execution(number)]
        found = update(fake.master())
        url = f"http://master-{number}.lan/"
        name = f"configured-{number}"
        yield Exposed(cluster=name, url=url, health=found.health, snapshot=found.snapshot)


def test_the_series_of_some_masters_stand_together_under_one_head(fake):
    found = b"".join(page(list(exposed(fake)), ALL_SETS)).decode()

    assert len(re.findall("^# TYPE ", found, re.M)) == len(ALL_SETS) == len(heads(found))
    assert len(samples(found)) == len(re.findall("^[^#]", found, re.M)), "no series is there twice"
    assert found.count("\nteraslice_exporter_errors{") == 2
    assert found.count("\nteraslice_exporter_build_info{") == 1
    assert found.count('cluster="configured-1"') == found.count('cluster="configured-2"') == 18
    assert 'teraslice_up{url="http://master-1.lan/",name="reported-1"} 1\n' in found
    family = ""
    for line in found.splitlines():
        family = line.split()[2] if line.startswith("# HELP") else family
        assert line.startswith(("# ", family)), line


def test_a_master_that_never_answered_is_down_and_has_no_values():
    nothing = Update(Health(), None)

    found = samples(text(nothing))

    down = ("teraslice_up", frozenset({("url", URL), ("name", "prod")}))
    assert found[down] == 0
    names = {name for name, _ in found if "update_duration" not in name}
    assert names == {"teraslice_up", "teraslice_exporter_errors", "teraslice_exporter_build_info"}


def test_promtool_finds_nothing_but_what_must_be_kept(fake):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("left out: no promtool: apt-get install prometheus")
    kubernetes_new(fake)
    shown = text(update(fake.master()))

    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=shown,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )

    assert set(checked.stderr.splitlines()) == KEPT_AGAINST_THE_RULES
    extended = families(with_bare=False, with_extended=True)
    assert not any(name in checked.stderr for name in (f.name for f in extended[22:]))


def test_as_many_requests_are_sent_however_many_executions_there_are(fake):
    fake.controllers = [controller(n) for n in range(900)]
    fake.executions = [execution(n) for n in range(900)]

    found = update(fake.master())

    assert fake.asked_paths() == [
        "/v1/cluster/controllers",
        "/",
        "/v1/jobs",
        "/v1/cluster/state",
        "/v1/ex",
    ]
    assert text(found).count('status="running"') == 900


def test_more_executions_than_one_request_gives_are_asked_for_in_pages(fake):
    fake.controllers = [controller(2400)]
    fake.executions = [execution(n) for n in range(2500)]

    found = update(fake.master())

    pages = [asked.query for asked in fake.server.asked if asked.path == "/v1/ex"]
    living = "recovering,running,failing,paused,stopping"
    assert pages == [
        {"status": living, "size": "1000", "from": begin} for begin in ("0", "1000", "2000")
    ]
    assert text(found).count("teraslice_execution_slicers{") == 1


def test_a_path_prefix_and_the_headers_for_a_proxy_go_with_every_request(loopback, tmp_path):
    fake = FakeMaster(loopback, prefix="/behind/ts")
    (tmp_path / "password").write_text("pa:ss\n")
    (tmp_path / "key").write_text("k-1\n")

    found = update(
        fake.master(
            user="me",
            password_file=str(tmp_path / "password"),
            header="X-Api-Key",
            header_file=str(tmp_path / "key"),
        )
    )

    assert found.health.is_up
    assert {asked.path.startswith("/behind/ts/") for asked in loopback.asked} == {True}
    assert {asked.headers["Authorization"] for asked in loopback.asked} == {"Basic bWU6cGE6c3M="}
    assert {asked.headers["X-Api-Key"] for asked in loopback.asked} == {"k-1"}
    assert {asked.headers["Host"] for asked in loopback.asked} == {loopback.origin[7:]}
