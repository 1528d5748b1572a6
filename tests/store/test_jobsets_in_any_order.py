from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.store.jobset_machine import Jobsets
from tracker_service.store import jobsets


@pytest.mark.slow
def test_no_order_of_events_lets_two_workers_write_or_loses_a_task(store, monkeypatch):
    monkeypatch.setattr(jobsets, "CAPACITY", 4)  # so that few tasks make several jobsets
    machine = type("Machine", (Jobsets,), {"store": store})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=settings().max_examples // 6,
            stateful_step_count=40,
            phases=(Phase.reuse, Phase.generate),  # to shrink takes minutes with a database
        ),
    )
