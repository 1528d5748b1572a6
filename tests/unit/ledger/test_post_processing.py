"""Post-processing: once at a time, resumed after a crash, and its outcomes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.unit.fakes import AtOnce
from tests.unit.ledger.conftest import ledger_job
from tests.unit.loopback_server import Reply
from tracker_service.domain.ledger import EndedWorkflow, Transitions
from tracker_service.errors import GatewayUnavailable, RequestRefused
from tracker_service.ledger import go_json
from tracker_service.ledger.actions import Nothing, RunWorkflow, Webhook
from tracker_service.ledger.duties import duties, remove_old
from tracker_service.ledger.ledger import Ledger, Rules
from tracker_service.ledger.post_processing import (
    Done,
    Failed,
    PostProcessing,
    Retry,
    Step,
    Waiting,
)
from tracker_service.store.database import Store
from tracker_service.store.tables import ledger_actions

KEY = ledger_job().key


class Scripted:
    """An action whose outcomes a test has written."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes, self.seen = list(outcomes), list[str | None]()

    def run(self, claim, note):
        self.seen.append(claim.reference)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome(note) if callable(outcome) else outcome


def noting(reference: str, outcome: object) -> Callable[..., object]:
    def run(note):
        note(reference)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return run


@pytest.fixture
def process(store: Store, ledger: Ledger, ledgers):
    """Makes the post-processing of a worker, with one step."""

    def made(action, state: str = "postProcessing", **more) -> PostProcessing:
        values: dict[str, Any] = {"next": "loading", "retry_after_s": 120.0} | more
        step = Step(action=action, name=state, **values)
        return PostProcessing(store, ledger, {state: step}, ledgers.counts, AtOnce())

    return made


@pytest.fixture(autouse=True)
def _is_ready(ledger: Ledger) -> None:
    ledger.add_job(ledger_job())
    ledger.set_status(KEY, "postProcessing", "")


def make_due(store: Store, **more: object) -> None:
    """End the pause before the next attempt, and each lease."""
    past = datetime(2000, 1, 1, tzinfo=UTC)
    with store.begin() as connection:
        connection.execute(update(ledger_actions).values(due_at=past, lease_until=past, **more))


def test_success_brings_the_next_state_with_its_detail(process, ledger):
    process(Scripted(Done("loaded 5 rows"))).advance("w")

    status = ledger.get_status(KEY)
    assert (status.state, status.detail) == ("loading", "loaded 5 rows")


def test_doing_nothing_lets_a_job_go_on(process, ledger):
    process(Nothing()).advance("w")

    assert ledger.get_status(KEY).state == "loading"


def test_a_failure_is_the_error_of_the_job(process, ledger):
    process(Scripted(Failed("no such table"))).advance("w")

    status = ledger.get_status(KEY)
    assert (status.label, status.error) == (
        "postProcessing-failed",
        "postProcessing: no such table",
    )


def test_a_repeated_action_waits_and_begins_anew(process, ledger, store):
    action = Scripted(Retry("busy"), Done())
    processing = process(action)

    processing.advance("w")
    processing.advance("w")
    assert (ledger.get_status(KEY).state, ledger.get_status(KEY).detail) == (
        "postProcessing",
        "busy",
    )
    assert len(action.seen) == 1

    make_due(store)
    processing.advance("w")
    assert ledger.get_status(KEY).state == "loading"


def test_an_unexpected_error_is_repeated_and_told(process, ledger):
    process(Scripted(ValueError("what is this"))).advance("w")

    assert ledger.get_status(KEY).detail == "ValueError: what is this"


def test_what_was_started_is_looked_at_again_and_not_started_again(process, ledger, store):
    action = Scripted(noting("7-W", Waiting(0)), Waiting(0), Done())
    processing = process(action)

    for _ in range(3):
        processing.advance("w")
        make_due(store)

    assert action.seen == [None, "7-W", "7-W"]
    assert ledger.get_status(KEY).state == "loading"


def test_another_worker_goes_on_after_a_crash_once_the_lease_has_ended(process, ledger, store):
    crashed = Scripted(noting("7-W", SystemExit()))
    with pytest.raises(SystemExit):
        process(crashed).advance("dead")
    action = Scripted(Done())

    process(action).advance("living")
    assert action.seen == []

    make_due(store)
    process(action).advance("living")
    assert action.seen == ["7-W"]
    assert ledger.get_status(KEY).state == "loading"


def test_a_worker_that_has_lost_its_lease_changes_nothing(process, ledger, store):
    def lose(note):
        make_due(store)
        process(Scripted(Done("by another"))).advance("other")
        return Done("late")

    process(Scripted(lose)).advance("slow")

    status = ledger.get_status(KEY)
    assert (status.state, status.detail, status.update_count) == ("loading", "by another", 2)


def test_a_job_that_has_gone_on_meanwhile_stays_where_it_is(process, ledger):
    def overtaken(note):
        ledger.set_status(KEY, "complete", "by hand")
        return Done("late")

    process(Scripted(overtaken)).advance("w")

    assert (ledger.get_status(KEY).state, ledger.get_status(KEY).detail) == ("complete", "by hand")


def test_a_job_that_comes_back_to_a_state_is_processed_again(process, ledger):
    action = Scripted(Failed("first"), Done())
    processing = process(action)
    processing.advance("w")
    ledger.retry(KEY)

    processing.advance("w")

    assert ledger.get_status(KEY).state == "loading"


def test_several_workers_carry_an_action_out_once(process, ledger):
    actions = [Scripted(Done(), Done(), Done()) for _ in range(4)]
    workers = [process(action) for action in actions]

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: workers[n].advance(f"w{n}"), range(4)))

    assert sum(len(action.seen) for action in actions) == 1


def test_a_transition_that_is_not_allowed_is_not_recorded(process, ledger):
    ledger.rules = Rules(transitions=Transitions({"postProcessing": ["complete"]}))

    process(Scripted(Done())).advance("w")

    assert ledger.get_status(KEY).state == "postProcessing"


# Joining waits for the annotations of the same day


def test_a_job_without_a_join_goes_on_at_once(process, ledger):
    job = ledger_job(3, datasets=type(ledger_job().datasets)("t", "r", ""))
    ledger.add_job(job)
    ledger.set_status(job.key, "joining", "")

    process(Scripted(), "joining", waits_for="annotation2").advance("w")

    assert ledger.get_status(job.key).detail == "ndt7 does not require join"


def test_joining_waits_until_the_annotations_are_complete_or_gone(process, ledger, store):
    other = ledger_job(datatype="annotation2")
    ledger.add_job(other)
    ledger.set_status(KEY, "joining", "")
    processing = process(Scripted(Done()), "joining", waits_for="annotation2")

    processing.advance("w")
    assert ledger.get_status(KEY).detail == "waits for annotation2"

    ledger.set_status(other.key, "complete", "")
    make_due(store)
    processing.advance("w")
    assert ledger.get_status(KEY).state == "loading"


# Webhooks


@pytest.mark.parametrize(
    ("answered", "state", "detail"),
    [
        (200, "loading", ""),
        (204, "loading", ""),
        (503, "postProcessing", "answered 503"),
        (429, "postProcessing", "answered 429"),
        (404, "failed", "answered 404"),
        (302, "failed", "answered 302"),
    ],
)
def test_a_webhook_gets_the_job_and_decides(process, ledger, loopback, answered, state, detail):
    loopback.says(Reply(answered))

    process(Webhook(f"{loopback.origin}/hook")).advance("w")

    assert ledger.get_status(KEY).state == state
    assert detail in ledger.get_status(KEY).detail
    [asked] = loopback.asked
    assert asked.body == go_json.job_with_target(ledger_job())
    assert asked.headers["Idempotency-Key"].startswith("ledger-")


def test_a_webhook_that_is_away_is_called_later(process, ledger):
    process(Webhook("http://127.0.0.1:1/hook")).advance("w")

    assert ledger.get_status(KEY).state == "postProcessing"
    assert "does not answer" in ledger.get_status(KEY).detail


# Workflows


class FakeWorkflows:
    """An Oozie that starts what it is told to."""

    def __init__(self) -> None:
        self.by_name: dict[str, str] = {}
        self.properties: list[dict[str, str]] = []
        self.ended: EndedWorkflow | None = None
        self.fails: Exception | None = None

    def started(self, name: str) -> str | None:
        return self.by_name.get(name)

    def start(self, name: str, properties) -> str:
        self.by_name[name] = f"{len(self.by_name) + 1:07d}-oozie-W"
        self.properties.append(dict(properties))
        if self.fails:
            raise self.fails
        return self.by_name[name]

    def end_of(self, workflow: str) -> EndedWorkflow | None:
        return self.ended


@pytest.fixture
def oozie_stand_in() -> FakeWorkflows:
    return FakeWorkflows()


def test_a_workflow_is_started_with_the_facts_of_the_job(process, ledger, oozie_stand_in, store):
    processing = process(RunWorkflow(oozie_stand_in, {"queue": "etl", "ledgerDate": "mine"}))

    processing.advance("w")
    assert ledger.get_status(KEY).state == "postProcessing"
    [properties] = oozie_stand_in.properties
    assert (properties["ledgerJobId"], properties["queue"]) == (KEY, "etl")
    assert properties["ledgerDate"] == "mine"

    oozie_stand_in.ended = EndedWorkflow(succeeded=True)
    make_due(store)
    processing.advance("w")
    assert ledger.get_status(KEY).state == "loading"
    assert len(oozie_stand_in.by_name) == 1


def test_the_cause_of_a_failed_workflow_is_the_error_of_the_job(process, ledger, oozie_stand_in):
    oozie_stand_in.ended = EndedWorkflow(succeeded=False, why="The file 'daily.csv' is not there.")

    process(RunWorkflow(oozie_stand_in, {})).advance("w")

    assert ledger.get_status(KEY).error == (
        "postProcessing: 0000001-oozie-W: The file 'daily.csv' is not there."
    )


def test_a_submission_without_an_answer_is_found_by_its_name(
    process, ledger, oozie_stand_in, store
):
    oozie_stand_in.fails = GatewayUnavailable("cut off")
    processing = process(RunWorkflow(oozie_stand_in, {}))
    processing.advance("w")
    oozie_stand_in.fails, oozie_stand_in.ended = None, EndedWorkflow(succeeded=True)

    make_due(store)
    processing.advance("w")

    assert len(oozie_stand_in.by_name) == 1
    assert ledger.get_status(KEY).state == "loading"


def test_a_workflow_that_is_refused_fails_the_job(process, ledger, oozie_stand_in):
    oozie_stand_in.fails = RequestRefused("E0504: App directory does not exist")

    process(RunWorkflow(oozie_stand_in, {})).advance("w")

    assert "E0504" in ledger.get_status(KEY).error


# Expiry and purge are duties too


def test_the_duties_expire_jobs_and_purge_them_later(ledger, store, now):
    expire, purge = duties(store, [ledger], [], kept_for=timedelta(hours=100))
    held: Any = None

    now.advance(hours=25)
    expire.run(held)
    assert ledger.num_jobs() == 0
    purge.run(held)
    now.advance(hours=101)
    purge.run(held)

    ledger.add_job(ledger_job())
    assert ledger.get_status(KEY).run == 0


def test_a_ledger_whose_jobs_never_expire_only_cleans_up(ledger, store, now):
    ledger.rules = Rules(expiration=None, cleanup_delay=timedelta(0))
    ledger.add_job(ledger_job(5))
    ledger.set_status(ledger_job(5).key, "complete", "")

    now.advance(hours=1000)
    remove_old(store, ledger)

    assert [job for job, _ in ledger.get_state().jobs] == [ledger_job()]
