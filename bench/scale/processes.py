"""Measure the memory and the processor time of processes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tests.acceptance.service import RunningService

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def pss_mib(pids: Iterable[int]) -> float:
    """Return the proportional set size (PSS) of processes in MiB; see proc_pid_smaps(5)."""
    kib = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kib += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kib / 1024


def worker_of(service: RunningService) -> int:
    """Return the process id of the worker of `tracker run`."""
    for pid in service.processes():
        if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    raise AssertionError("there is no worker")
