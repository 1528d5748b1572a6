from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tracker_service import cli, listening, logging, supervisor
from tracker_service.cli import service
from tracker_service.errors import ConfigError
from tracker_service.settings import SANDBOX_BIND
from tracker_service.settings.binds import binds
from tracker_service.store.database import Store
from tracker_service.supervisor import Greeting, Supervisor, lock_directory


@pytest.fixture
def tracker(tmp_path, monkeypatch):
    """Runs a command of `tracker` in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TRACKER_CONFIG", "")  # so that what a command sets is taken back
    monkeypatch.delenv("TRACKER_CONFIG")
    monkeypatch.setattr(os, "umask", lambda _: None)
    monkeypatch.setattr(logging, "configure", lambda *_: None)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli.main, arguments)

    return run


def commands(group: click.Group = cli.main, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the words of each command that does something."""
    found: list[tuple[str, ...]] = []
    for name, command in sorted(group.commands.items()):
        here = (*path, name)
        found += commands(command, here) if isinstance(command, click.Group) else [here]
    return found


def test_the_document_names_each_command_and_what_it_takes_from_the_environment(tracker):
    document = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()

    for words in commands():
        assert " ".join(words) in document
        for variable in re.findall(r"TRACKER_[A-Z]+(?:_FILE)?\b", tracker(*words, "--help").output):
            assert variable in document


SERVICE = [words for words in commands() if cli.main.commands[words[0]] in service.COMMANDS]


@pytest.mark.parametrize("words", [(), *commands()], ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_of_each_command_has_an_example(tracker, words, option):
    told = tracker(*words, option)

    assert told.exit_code == 0
    example = re.search(r"Example.*:\n +(\S.*)", told.output)
    assert example
    assert f"tracker {' '.join(words)}".strip() in example[1]


@pytest.mark.parametrize("words", SERVICE, ids=" ".join)
def test_a_wrong_setting_is_told_in_one_line(tracker, monkeypatch, words):
    monkeypatch.setenv("TRACKER_POLLING__INTERVAL_S", "often")

    told = tracker(*words)

    assert told.exit_code == 1
    assert told.output.startswith("Error: TRACKER_POLLING__INTERVAL_S: ")
    assert told.output.count("\n") == 1


@pytest.mark.parametrize("words", [("serve",), ("worker",)], ids=" ".join)
def test_a_key_that_is_none_is_told_in_one_line(tracker, tmp_path, words):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "credentials.key").write_text("no key\n")

    told = tracker(*words)

    assert told.exit_code == 1
    assert "credentials.key" in told.output
    assert told.output.count("\n") == 1


def test_a_file_of_settings_that_is_not_there_is_refused(tracker):
    told = tracker("--config", "nowhere.yml", "worker")

    assert told.exit_code == 2
    assert "nowhere.yml" in told.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete_the_command(tracker, shell):
    told = tracker("completion", shell)

    assert told.exit_code == 0
    assert f"_TRACKER_COMPLETE={shell}_complete" in told.stdout
    assert "tracker" in told.stdout


def test_another_shell_is_refused(tracker):
    assert tracker("completion", "csh").exit_code == 2


def test_verbs_and_options_are_completed():
    code = "from tracker_service.cli import main; main(prog_name='tracker')"

    def completed(line: str) -> list[str]:
        asked = {
            "_TRACKER_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        }
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | asked,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.stderr == ""
        return [each.partition(",")[2] for each in ran.stdout.split()]

    assert completed("tracker un") == ["untrack"]
    assert completed("tracker status --out") == ["--output"]
    assert completed("tracker status --output ") == ["json", "table"]


def test_the_sandbox_listens_where_the_settings_look_for_it(tracker):
    assert SANDBOX_BIND in tracker("sandbox", "--help").output


def test_the_schema_is_made_and_may_be_made_again(tracker, tmp_path):
    for _ in range(2):
        told = tracker("db", "upgrade")
        assert (told.exit_code, told.output) == (0, "the schema is up to date\n")

    [file] = (tmp_path / "state").glob("*.db")
    store = Store(f"sqlite:///{file}")
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar() == 0
    store.close()


def test_a_database_that_cannot_be_opened_is_told_in_one_line(tracker, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKER_STORE__URL", f"sqlite:///{tmp_path}")  # a directory

    told = tracker("db", "upgrade")

    assert told.exit_code == 1
    assert told.output.startswith("Error: the database does not answer")
    assert told.output.count("\n") == 1


def test_two_runs_do_not_share_a_state_directory(tracker, tmp_path):
    with lock_directory(tmp_path / "state"):
        told = tracker("run")

    assert told.exit_code == 1
    assert "another `tracker run` uses" in told.output
    assert told.output.count("\n") == 1


def test_a_refused_lock_leaves_the_first_one_alone(tmp_path):
    with lock_directory(tmp_path):
        for _ in range(2):
            with pytest.raises(ConfigError, match="another"):
                lock_directory(tmp_path)

    lock_directory(tmp_path).close()


class Process:
    """A child process that ends when it is told to."""

    def __init__(self) -> None:
        self.exitcode: int | None = None

    def is_alive(self) -> bool:
        return self.exitcode is None

    def terminate(self) -> None:
        self.exitcode = -signal.SIGTERM

    def join(self, _: float) -> None:
        """Has ended already."""


class World:
    """The clock and the processes of a supervisor."""

    def __init__(self) -> None:
        self.now = 0.0
        self.started: list[tuple[float, str, Process]] = []

    def monotonic(self) -> float:
        return self.now

    def start(self, _: object, arguments: list[str]) -> Process:
        self.started.append((self.now, arguments[0], Process()))
        return self.started[-1][2]


@pytest.fixture
def world(monkeypatch) -> World:
    world = World()
    monkeypatch.setattr(supervisor, "time", world)
    monkeypatch.setattr(supervisor, "_fork", world.start)
    return world


@pytest.fixture
def children(world) -> Supervisor:
    return Supervisor(
        print,
        [["worker"], ["serve"]],
        Greeting(lambda: False, "hello"),
        stop_s=20,
    )


def tend(children: Supervisor, world: World, seconds: float) -> None:
    end = world.now + seconds
    while world.now <= end:
        for child in children._children:
            children._tend(child)
        world.now += 0.1


def test_each_command_is_started_once(children, world):
    tend(children, world, 60)

    assert [(at, name) for at, name, _ in world.started] == [(0.0, "worker"), (0.0, "serve")]


def pause_after_death(children: Supervisor, world: World) -> float:
    """Kill the newest process, and return how long its command waits for the next one."""
    world.started[-1][2].exitcode, died_at, before = 1, world.now, len(world.started)
    while len(world.started) == before:
        tend(children, world, 0)
    return round(world.started[-1][0] - died_at, 1)


def test_a_child_that_dies_is_started_again_later_and_later(children, world):
    tend(children, world, 1)

    pauses = [pause_after_death(children, world) for _ in range(8)]

    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30], abs=0.21)
    assert [name for _, name, _ in world.started].count("worker") == 1


def test_a_child_that_lived_well_is_started_again_soon(children, world):
    tend(children, world, 1)
    for _ in range(5):
        pause_after_death(children, world)

    tend(children, world, 31)

    assert pause_after_death(children, world) == pytest.approx(0.5, abs=0.21)


def test_all_children_are_ended(children, world):
    tend(children, world, 1)

    children._end()

    assert [p.exitcode for _, _, p in world.started] == [-signal.SIGTERM] * 2


def test_the_threads_of_a_child_share_two_arenas_of_memory():
    count = """
import ctypes, threading
from tracker_service import supervisor

def allocate():
    blocks = [bytes(100_000) for _ in range(10)]
    barrier.wait()

def count(_):
    threads = [threading.Thread(target=allocate) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    ctypes.CDLL(None).malloc_stats()

barrier = threading.Barrier(8)
supervisor.run_to_end(count, ["worker"])
"""
    environment = {k: v for k, v in os.environ.items() if k != "MALLOC_ARENA_MAX"}
    told = subprocess.run(
        [sys.executable, "-c", count], env=environment, capture_output=True, text=True, check=True
    )

    assert told.stderr.count("Arena ") <= 2, told.stderr


def test_nothing_is_greeted_before_it_answers():
    nobody = binds("127.0.0.1:1")[0]

    assert not Greeting(partial(listening.answers, nobody, "/readyz"), "hello").is_due()
