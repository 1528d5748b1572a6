from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from tests.unit.sinks.messages import AT, BASE_URL, CAUSE, JOB, LINKS, failure, message
from tracker_service.domain.events import TEST, EventType, LedgerEventType
from tracker_service.sinks.sink import Message, Others
from tracker_service.sinks.wording import words_of
from tracker_service.sinks.words import Severity, Words

HOSTILE = 'x\r\nBcc: all@example.com\x1b[31m\u202e\x00</pre><script>alert(1)</script>"\ud800 `rm`'


class Tags(HTMLParser):
    """The tags and the targets of links in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.targets: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.targets += [value or "" for name, value in attrs if name == "href"]


def words(of: Message) -> Words:
    return words_of(of, BASE_URL)


def test_a_failure_tells_the_cause_the_proof_the_state_of_the_logs_and_how_to_go_on():
    told = words(failure())

    assert told.severity == Severity.FAILURE
    assert told.subject == "etl-daily failed: The executor ran out of memory"
    assert told.text == (
        f"etl-daily failed ({JOB}, user alice, 2026-11-30 03:00:07 UTC).\n\n"
        "Why: The executor ran out of memory\n\n"
        "What to do: Set spark.executor.memory higher\n\n"
        "Logs: 2 of 3 saved.\n\n"
        "application_1_0003: waits for HDFS\n\n"
        "action train, application_1_0001, container_1_0001_01_000002, stderr:17\n"
        "    java.lang.OutOfMemoryError: Java heap space\n\n"
        f"job: {BASE_URL}/api/job/{JOB}\nlogs: {BASE_URL}/api/job/{JOB}/logs\n\n"
        f"    tracker why {JOB}\n    tracker logs {JOB}\n"
    )


def test_the_html_has_the_same_as_the_text():
    told = words(failure())

    assert Tags(told.html).targets == [f"{BASE_URL}{path}" for path in LINKS.values()]
    for text in ("stderr:17", "OutOfMemoryError", f"tracker why {JOB}", "2 of 3 saved"):
        assert text in told.html


def test_a_counted_family_says_how_many_more_and_since_when():
    told = words(failure_with(Others(count=14, since="2026-11-30T02:10:00+00:00")))

    assert told.subject.endswith("(and 14 more, since 02:10 UTC)")
    assert "And 14 more, since 02:10 UTC" in told.text


def test_a_family_of_yesterday_is_told_with_its_date():
    told = words(failure_with(Others(count=2, since="2026-11-29T23:10:00+00:00")))

    assert "(and 2 more, since 2026-11-29 23:10 UTC)" in told.subject


def failure_with(others: Others) -> Message:
    return Message(kept=failure().kept, others=others)


def test_a_long_summary_leaves_room_for_the_count():
    told = words(
        Message(
            kept=failure(cause={**CAUSE, "summary": "long " * 1000}).kept,
            others=Others(count=14, since="2026-11-30T02:10:00+00:00"),
        )
    )

    assert len(told.subject) <= 160
    assert told.subject.endswith("… (and 14 more, since 02:10 UTC)")


@pytest.mark.parametrize("kind", [*EventType, *LedgerEventType, TEST, "agent.failed", HOSTILE])
def test_hostile_texts_of_any_event_do_no_harm(kind):
    changed: dict[str, Any] = {"from": HOSTILE, "to": HOSTILE}
    quote = dict.fromkeys(("text", "action", "application", "container", "file"), HOSTILE * 1000)
    hostile = message(
        kind,
        HOSTILE * 5,
        name=HOSTILE * 1000,
        user=HOSTILE,
        message=HOSTILE * 1000,
        cause={"summary": HOSTILE * 1000, "hint": HOSTILE, "evidence": [quote] * 1000},
        logs={"wanted": 9, "missing": [{"application": HOSTILE, "reason": HOSTILE}] * 1000},
        links={"job": HOSTILE, "more": "@evil.example.com/", HOSTILE: "/api/job/1"},
        **changed,
    )

    told = words(hostile)

    assert told.subject.isprintable()
    assert len(told.subject) <= 160
    assert all(line.isprintable() for line in told.text.splitlines())
    assert len(told.text.encode()) < 32_000
    page = Tags(told.html)
    assert page.tags <= {"html", "head", "meta", "body", "h3", "p", "pre", "a"}
    assert page.targets == [f"{BASE_URL}/api/job/1"]
    told.html.encode()


@pytest.mark.parametrize(
    "data",
    [
        {"cause": "x", "logs": 3, "links": []},
        {"cause": {"evidence": {"text": 1}}, "logs": {"wanted": "many"}, "links": {"job": None}},
        {"cause": {"evidence": [None, 3]}, "logs": {"wanted": 1, "missing": "x"}},
    ],
)
@pytest.mark.parametrize("kind", [*EventType, "agent.stopped"])
def test_data_of_another_form_is_told_as_far_as_it_goes(kind, data):
    assert words(message(kind, **data)).subject


@pytest.mark.parametrize(
    ("kind", "data", "severity", "subject"),
    [
        (
            EventType.JOB_STATE_CHANGED,
            {"name": "etl", "from": "RUNNING", "to": "SUCCEEDED"},
            Severity.SUCCESS,
            "etl: SUCCEEDED (before: RUNNING)",
        ),
        (
            EventType.JOB_STATE_CHANGED,
            {"from": "RUNNING", "to": "KILLED"},
            Severity.WARNING,
            f"{JOB}: KILLED (before: RUNNING)",
        ),
        (
            EventType.LOGS_SAVED,
            {"name": "etl"},
            Severity.SUCCESS,
            "The logs of etl are saved",
        ),
        (
            EventType.LOGS_LOST,
            {"name": "etl"},
            Severity.FAILURE,
            "Logs of etl are lost",
        ),
        (
            EventType.WAITS_FOR_CREDENTIALS,
            {"user": "alice", "reason": "the gateway refuses it"},
            Severity.WARNING,
            "Your jobs wait for a fresh credential: the gateway refuses it",
        ),
        (
            EventType.CLUSTER_TROUBLE,
            {"message": "no answer since 02:10"},
            Severity.FAILURE,
            "It is the cluster, not you: no answer since 02:10",
        ),
        (
            EventType.CLUSTER_TROUBLE_OVER,
            {},
            Severity.SUCCESS,
            f"The trouble of the cluster is over: {JOB}",
        ),
        (
            LedgerEventType.FAILED,
            {"reason": "loading: no room"},
            Severity.FAILURE,
            f"{JOB} failed: loading: no room",
        ),
        (
            LedgerEventType.COMPLETED,
            {"reason": ""},
            Severity.SUCCESS,
            f"{JOB} is complete",
        ),
        (
            LedgerEventType.EXPIRED,
            {},
            Severity.WARNING,
            f"{JOB} was without news for too long",
        ),
        (
            "agent.failed",
            {"message": "answered 503"},
            Severity.INFO,
            f"agent.failed: {JOB}: answered 503",
        ),
    ],
)
def test_each_type_has_its_words(kind, data, severity, subject):
    told = words(message(kind, **data))

    assert (told.severity, told.subject) == (severity, subject)


def test_a_failure_says_what_troubles_the_cluster():
    trouble = [{"subject": "oozie", "since": AT.isoformat(), "summary": "oozie does not answer"}]

    assert (
        "It may be the cluster, not you: oozie does not answer"
        in words(failure(trouble=trouble)).text
    )


def test_the_link_that_mutes_the_family_is_among_the_links():
    told = words(Message(kept=failure().kept, mute_path="/api/mute/token"))

    assert told.links[-1] == ("mute", f"{BASE_URL}/api/mute/token")


def test_a_subject_that_a_shell_would_read_is_quoted_in_commands():
    told = words(message(subject="$(reboot); x"))

    assert told.commands[0] == "tracker why '$(reboot); x'"


def test_all_logs_are_safe():
    told = words(message(EventType.LOGS_SAVED, logs={"wanted": 3, "saved": 3, "lost": 0}))

    assert "Logs: all of 3 saved." in told.text


def test_the_time_is_that_of_the_event():
    assert f"{AT:%Y-%m-%d %H:%M:%S} UTC" in words(message()).text
