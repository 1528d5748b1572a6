"""`tracker logs`, in front of a loopback server: parts of logs, and logs that grow."""

from __future__ import annotations

import time

import pytest

from tests.unit.cli.test_cli_jobs import JOB, VIEW, environment, says, tracker
from tests.unit.cli.test_cli_why import CAUSE
from tests.unit.loopback_server import Asked, Loopback, Reply
from tracker_service.cli.news import News

__all__ = ["environment", "tracker"]

APP, OTHER_APP = "1529519049029_0001", "1529519049029_0002"
SEVERAL = VIEW | {"application-ids": [APP, OTHER_APP]}


@pytest.fixture
def terminal(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Standard output is one."""
    environment.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    environment.delenv("NO_COLOR", raising=False)
    return environment


def test_parts_of_a_log_are_asked_of_the_only_application(tracker, loopback):
    loopback.says(says(VIEW), Reply(body=b"line\n"))

    told = tracker("logs", JOB, "--file", "stderr", "--container", "container_1", "--tail", "3")

    assert (told.exit_code, told.stdout, told.stderr) == (0, "line\n", "")
    assert loopback.asked[1].path == f"/api/job/{JOB}/logs/{APP}"
    assert loopback.asked[1].query == {"container": "container_1", "file": "stderr", "tail": "3"}


def test_lines_are_looked_for_in_the_application_that_is_named(tracker, loopback):
    loopback.says(Reply(body=b"line\n"))

    look = ("--grep", "a+b", "--level", "error", "--context", "0", "--app", OTHER_APP)
    told = tracker("logs", JOB, *look)

    assert told.exit_code == 0
    [asked] = loopback.asked
    assert asked.path == f"/api/job/{JOB}/logs/{OTHER_APP}"
    assert asked.query == {"grep": "a+b", "level": "ERROR", "context": "0"}


def test_of_several_applications_the_one_that_failed_is_read(tracker, loopback):
    loopback.says(says(SEVERAL | {"cause": CAUSE}), Reply(body=b"line\n"))

    told = tracker("logs", JOB, "--tail", "3")

    assert (told.exit_code, told.stdout) == (0, "line\n")
    assert told.stderr == f"{APP} is the one that failed of {APP}, {OTHER_APP}\n"
    assert loopback.asked[1].path.endswith(APP)


def test_where_nobody_knows_which_failed_one_has_to_be_named(tracker, loopback):
    loopback.says(says(SEVERAL))

    told = tracker("logs", JOB, "--tail", "3")

    assert told.exit_code == 2
    assert f"name one with --app: {APP}, {OTHER_APP}" in told.stderr


def test_without_any_application_there_is_nothing_to_read(tracker, loopback):
    loopback.says(says(VIEW | {"application-ids": []}))

    told = tracker("logs", JOB, "--tail", "3")

    assert (told.exit_code, told.stdout) == (1, "")
    assert "no application" in told.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--tail", "0"),
        ("--level", "LOUD"),
        ("--context", "51"),
        ("--follow", "--tail", "3"),
        (APP, "--app", OTHER_APP),
    ],
)
def test_options_that_make_no_sense_are_refused_and_nothing_is_asked(tracker, loopback, options):
    assert tracker("logs", JOB, *options).exit_code == 2
    assert loopback.asked == []


LOG = b"""Container: container_1 on host_1
LogType:syslog
LogContents:
INFO ok\r
2026 WARN doubtful
2026 ERROR bad \x1b[2J\xff
java.io.IOException: gone
End of LogType:syslog"""


def test_on_a_terminal_a_log_is_shown_in_colours_and_can_do_nothing_to_it(
    tracker, loopback, terminal
):
    loopback.says(Reply(body=LOG))

    shown = tracker("logs", JOB, color=True).stdout.split("\n")

    assert shown == [
        "\x1b[36m\x1b[1mContainer: container_1 on host_1\x1b[0m",
        "\x1b[36m\x1b[1mLogType:syslog\x1b[0m",
        "\x1b[2mLogContents:\x1b[0m",
        "INFO ok",
        "\x1b[33m2026 WARN doubtful\x1b[0m",
        "\x1b[31m2026 ERROR bad ?[2J\N{REPLACEMENT CHARACTER}\x1b[0m",
        "\x1b[31mjava.io.IOException: gone\x1b[0m",
        "\x1b[2mEnd of LogType:syslog\x1b[0m",
    ]


def test_who_wants_no_colours_gets_the_log_without_what_controls_a_terminal(
    tracker, loopback, terminal
):
    terminal.setenv("NO_COLOR", "1")
    loopback.says(Reply(body=LOG))

    shown = tracker("logs", JOB).stdout_bytes.decode()

    assert shown == LOG.decode(errors="replace").replace("\x1b", "?")


def test_a_line_without_end_is_shown_in_parts(tracker, loopback, terminal):
    loopback.says(Reply(body=b"x" * 1_000_000))

    shown = tracker("logs", JOB).stdout

    assert shown.count("x") == 1_000_000
    assert max(map(len, shown.split("\n"))) < 200_000


# Logs that grow.


def log_of(*files: tuple[str, bytes]) -> bytes:
    """Return a log as `yarn logs` prints it: the name of each file and its content."""
    return b"".join(
        b"Container: container_1 on host_8041\nLogAggregationType: LOCAL\n========\n"
        b"LogType:%s\nLogLastModifiedTime:x\nLogLength:%d\nLogContents:\n%s\n"
        b"End of LogType:%s\n*****\n\n" % (name.encode(), len(content), content, name.encode())
        for name, content in files
    )


def told(news: News, *pieces: bytes) -> str:
    return b"".join(news.new_in(pieces)).decode()


def test_of_a_log_that_is_read_again_only_what_is_new_is_told():
    news = News()

    first = told(news, log_of(("stdout", b"one\nhal"), ("stderr", b"")))
    again = told(news, log_of(("stdout", b"one\nhal"), ("stderr", b"")))
    more = told(news, log_of(("stdout", b"one\nhalf\n"), ("stderr", b"oh\n\n")))

    assert first == "==> container_1/stdout <==\none\nhal"
    assert again == ""
    assert more == "f\n\n==> container_1/stderr <==\noh\n\n"


def test_it_is_the_same_where_pieces_end():
    whole = log_of(("stdout", b"one\n\ntwo\n"), ("stderr", b"LogType:x\nEnd of LogType:stdout\n"))

    in_bytes = told(News(), *(whole[n : n + 1] for n in range(len(whole))))

    assert (
        in_bytes
        == told(News(), whole)
        == (
            "==> container_1/stdout <==\none\n\ntwo\n"
            "\n==> container_1/stderr <==\nLogType:x\nEnd of LogType:stdout\n"
        )
    )


def test_files_that_come_below_titles_are_told_alike():
    news = News()

    first = told(news, b"==> container_1/stderr <==\none\n")
    more = told(
        news, b"==> container_2/stderr <==\nnew", b"\n==> container_1/stderr <==\none\ntwo\n"
    )

    assert first == "==> container_1/stderr <==\none\n"
    assert more == ("\n==> container_2/stderr <==\nnew\n==> container_1/stderr <==\ntwo\n")


def test_the_content_of_one_file_needs_no_title():
    news = News("container_1", "stderr")

    assert told(news, b"Container: x on y\n") == "Container: x on y\n"
    assert told(news, b"Container: x on y\nmore") == "more"


class Service:
    """A service whose job goes on from one look at it to the next."""

    def __init__(self, *looks: dict[str, object]) -> None:
        self.looks = list(looks)
        self.live: list[Reply] = [Reply(body=b"")]
        self.saved = Reply(body=b"")
        self.asked: list[str] = []

    def __call__(self, asked: Asked) -> Reply:
        if asked.path.endswith("/logs/status"):
            return says({"finished": True, "succeeded": True, "jobs": {}})
        if asked.path.endswith(f"/api/job/{JOB}"):
            return says(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])
        self.asked.append(asked.query.get("live", "saved"))
        if "live" not in asked.query:
            return self.saved
        return self.live.pop(0) if len(self.live) > 1 else self.live[0]


@pytest.fixture
def service(loopback: Loopback, environment: pytest.MonkeyPatch):
    """Lets a service answer, to which time means nothing."""

    def made(*looks: dict[str, object]) -> Service:
        service = Service(*looks)
        loopback.says(service)
        return service

    environment.setattr(time, "sleep", lambda _: None)
    return made


def look(status: str = "RUNNING", copy: str | None = None, *applications: str) -> dict[str, object]:
    copies = {APP: {"application": APP, "status": copy, "reason": "because"}} if copy else {}
    found = {"application-ids": list(applications or (APP,)), "log-jobs": copies}
    return VIEW | found | {"status": status}


def test_a_log_is_followed_from_what_is_written_to_what_is_saved(tracker, service):
    running = service(look(), look(), look("KILLED", "WAITING"), look("KILLED", "SUCCEEDED"))
    running.live = [Reply(body=log_of(("stderr", b"one\n")))] + [
        Reply(body=log_of(("stderr", b"one\ntwo\n")))
    ] * 2
    running.saved = Reply(body=log_of(("stderr", b"one\ntwo\nthree\n"), ("stdout", b"end\n")))

    told = tracker("logs", "--follow", JOB)

    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout == (
        "==> container_1/stderr <==\none\ntwo\nthree\n\n==> container_1/stdout <==\nend\n"
    )
    assert running.asked == ["true", "true", "true", "saved"]


def test_where_running_logs_may_not_be_read_the_saved_one_is_waited_for(tracker, service):
    running = service(look(), look(), look("KILLED", "SUCCEEDED"))
    running.live = [says({"message": "Running logs are not read at this site."}, 403)]
    running.saved = Reply(body=log_of(("stderr", b"one\n")))

    told = tracker("logs", "--follow", JOB)

    assert told.exit_code == 0
    assert (
        told.stderr == "Running logs are not read at this site. Waiting until the log is saved.\n"
    )
    assert told.stdout.endswith("one\n")


def test_a_job_without_an_application_is_waited_for(tracker, service):
    nothing = look() | {"application-ids": []}
    begun = service(nothing, nothing, look("KILLED", "SUCCEEDED"))
    begun.saved = Reply(body=log_of(("stderr", b"one\n")))

    told = tracker("logs", "--follow", JOB)

    assert (told.exit_code, told.stderr) == (0, "waits for the first application\n")


def test_a_log_that_will_not_be_saved_ends_the_following(tracker, service):
    service(look(), look("KILLED", "FAILED"))

    told = tracker("logs", "--follow", JOB)

    assert told.exit_code == 1
    assert f"the log of {APP} is not saved: because" in told.stderr


@pytest.mark.parametrize(("written", "code"), [(log_of(("stderr", b"one\n")), 0), (b"", 1)])
def test_the_log_of_a_job_that_succeeded_ends_with_the_job(tracker, service, written, code):
    running = service(look(), look("SUCCEEDED"))
    running.live = [Reply(body=written)]

    told = tracker("logs", "--follow", JOB)

    assert told.exit_code == code
    assert f"tracker copy-logs {JOB} saves it" in told.stderr


def test_a_job_that_ended_without_any_application_has_nothing_to_follow(tracker, service):
    service(look("KILLED") | {"application-ids": []})

    told = tracker("logs", "--follow", JOB)

    assert told.exit_code == 1
    assert "no application of it is known" in told.stderr


def test_a_service_that_is_away_for_a_moment_is_asked_again(tracker, loopback, environment):
    environment.setattr(time, "sleep", lambda _: None)
    away = says({"message": "The database does not answer."}, 500)
    saved = Reply(body=log_of(("stderr", b"one\n")))
    loopback.says(away, says(look("KILLED", "SUCCEEDED")), saved)

    told = tracker("logs", "--follow", JOB)

    assert (told.exit_code, told.stderr) == (0, "The database does not answer.\n")


def test_ctrl_c_ends_the_following(tracker, service, environment):
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    service(look())
    environment.setattr(time, "sleep", interrupted)

    told = tracker("logs", "--follow", JOB)

    assert told.exit_code == 130
    assert "not following any more" in told.stderr


class Growing:
    """A service with a running application whose log grows from look to look."""

    def __init__(self, *texts: bytes) -> None:
        self.texts, self.number = texts, 0
        self.seen: list[int] = []

    def __call__(self, asked: Asked) -> Reply:
        if asked.path.endswith(f"/api/job/{JOB}"):
            is_over = self.number == len(self.texts)
            return says(look("KILLED", "SUCCEEDED") if is_over else look())
        if "live" not in asked.query:
            text = self.texts[-1]
            return Reply(body=text if "file" in asked.query else log_of(("stderr", text)))
        name, _, length = asked.query.get("seen", "container_1/stderr:0").rpartition(":")
        assert name == "container_1/stderr"
        self.seen.append(int(length))
        self.number += 1
        new = self.texts[self.number - 1][int(length) :]
        headers = {"X-Seen-Left-Out": "true"} if int(length) else {}
        return Reply(200, log_of(("stderr", new)) if new else b"", headers)


@pytest.mark.parametrize("chosen", [(), ("--container", "container_1", "--file", "stderr")])
def test_each_look_at_a_running_log_asks_only_for_what_is_new(
    tracker, loopback, environment, chosen
):
    environment.setattr(time, "sleep", lambda _: None)
    lines = [b"line %d\n" % number for number in range(30)]
    texts = [b"".join(lines[: n + 1]) for n in range(30)]
    loopback.says(growing := Growing(*texts, texts[-1], texts[-1]))

    told = tracker("logs", "--follow", *chosen, JOB)

    title = "" if chosen else "==> container_1/stderr <==\n"
    assert told.stdout == title + texts[-1].decode()
    assert growing.seen == [0, *map(len, texts), len(texts[-1])]


def test_a_file_whose_text_is_longer_than_it_is_read_again(tracker, loopback, environment):
    news = News()
    replaced = log_of(("stderr", "\ufffd\n".encode())).replace(b"LogLength:4", b"LogLength:2")

    first = b"".join(news.new_in_live([replaced], news.have_all_of()))

    assert "\ufffd" in first.decode()
    assert news.have_all_of() == {}
