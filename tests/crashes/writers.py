"""Writers: they take jobs of a ledger, report them, and note each report that was answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import requests

SOURCES = """
start_date: 1950-01-01
sources:
- {bucket: lab, experiment: ndt, datatype: ndt7, full_history: true}
"""
_REPORTS = 5  #: of one job


@dataclass
class Reports:
    """The jobs that were given out, and the reports that were answered with 200."""

    given: list[str] = field(default_factory=list)  #: ids of jobs
    answered: dict[str, list[str]] = field(default_factory=dict)  #: details, by the id of the job
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def number(self) -> int:
        return sum(map(len, self.answered.values()))

    def lost(self, kept: Mapping[str, tuple[int, set[str]]]) -> Iterator[str]:
        """Yield what was answered and is not kept.

        Args:
            kept: the number of updates and the details of each job, by its id.
        """
        for job in self.given:
            if job not in kept:
                yield f"the job {job} was given out and is not there"
        for job, details in self.answered.items():
            updates, found = kept.get(job, (0, set()))
            if missing := set(details) - found:
                yield f"{job} has no {sorted(missing)}"
            if updates < len(details):
                yield f"{job} has counted {updates} of {len(details)} updates"

    def given_twice(self) -> Iterator[str]:
        """Yield the jobs that more than one writer has got."""
        seen = set[str]()
        for job in self.given:
            if job in seen:
                yield f"the job {job} was given out twice"
            seen.add(job)


class Writer(threading.Thread):
    """Takes one job after the other."""

    def __init__(self, urls: Sequence[str], reports: Reports, seed: str, pause_s: float) -> None:
        super().__init__(name=f"writer {seed}", daemon=True)
        self._urls, self._reports, self._rng = urls, reports, Random(seed)
        self._pause_s, self._details = pause_s, (f"{seed} {n}" for n in count())
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._stopped.wait(self._pause_s):
                answer = self._post(session, "next", {})
                if answer is not None and answer.status_code == 200:
                    job = answer.json()["ID"]
                    with self._reports.lock:
                        self._reports.given.append(job)
                    self._report(session, job)

    def _report(self, session: requests.Session, job: str) -> None:
        for number in range(_REPORTS):
            detail = next(self._details)
            state = "parsing" if number < _REPORTS - 1 else "loading"
            while not self._is_answered(session, job, state, detail):
                if self._stopped.wait(0.02):
                    return

    def _is_answered(self, session: requests.Session, job: str, state: str, detail: str) -> bool:
        answer = self._post(session, "update", {"id": job, "state": state, "detail": detail})
        with self._reports.lock:
            if answer is None or answer.status_code == 503:
                self._reports.unanswered += 1
                return False
            if answer.status_code != 200:
                self._reports.wrong.append(f"{job}: {answer.status_code}")
            else:
                self._reports.answered.setdefault(job, []).append(detail)
            return True

    def _post(
        self, session: requests.Session, call: str, parameters: Mapping[str, str]
    ) -> requests.Response | None:
        url = f"{self._rng.choice(self._urls)}/v2/job/{call}"
        try:
            return session.post(url, params=parameters, timeout=120)
        except requests.RequestException:
            return None


def enabled(home: Path) -> dict[str, str]:
    """Return the settings of a ledger whose sources are written into a directory."""
    sources = home / "sources.yml"
    sources.write_text(SOURCES)
    return {"TRACKER_LEDGER__ENABLED": "true", "TRACKER_LEDGER__CONFIG": str(sources)}
