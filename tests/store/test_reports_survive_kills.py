"""A report that was answered is kept, whenever the process dies."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_twenty_kills_lose_no_answered_report():
    command = [sys.executable, "-m", "tests.crashes.reports", "--kills", "20"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "| lost, or given out twice | 0 |" in done.stdout
