"""Says what a job in the sandbox does, how long it takes and what it leaves in the log."""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from importlib import resources

#: The application of the recordings, without its number.
RECORDED_CLUSTER = 1795323021266


@dataclass(frozen=True)
class Recording:
    """An aggregated log file of a real cluster, and what ``yarn logs`` prints of it."""

    name: str
    application_number: int

    @cached_property
    def aggregated(self) -> bytes:
        """The bytes of the TFile."""
        return self._packed("localhost_8041.gz")

    @cached_property
    def text(self) -> bytes:
        """The text that ``yarn logs -applicationId`` prints."""
        return self._packed("yarn-logs.txt.gz")

    def aggregated_of(self, application_id: str) -> bytes:
        """Return the TFile with the identifiers of another application."""
        return self._renumbered(self.aggregated, application_id)

    def text_of(self, application_id: str) -> bytes:
        """Return the text with the identifiers of another application."""
        return self._renumbered(self.text, application_id)

    def _renumbered(self, data: bytes, application_id: str) -> bytes:
        """Replace identifiers by ones of the same length, so that recorded lengths stay right."""
        recorded = f"{RECORDED_CLUSTER}_{self.application_number:04d}".encode()
        return data.replace(recorded, application_id.removeprefix("application_").encode())

    def _packed(self, name: str) -> bytes:
        folder = resources.files(__package__) / "logs" / self.name
        return gzip.decompress((folder / name).read_bytes())


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionError:
    """The code and the message that Oozie notes at a failed action."""

    code: str
    message: str


SCRIPT_FAILED = ActionError(
    code="1", message="Main Class [org.apache.oozie.action.hadoop.ShellMain], exit code [1]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The course of a workflow with one shell action; times are seconds."""

    name: str
    description: str
    recording: Recording
    error: ActionError | None = None
    #: How the workflow ends when the action fails: KILLED by its kill node, or FAILED.
    status_of_failure: str = "KILLED"
    #: From the start until the action has ended.
    runs_s: float = math.inf
    #: From the start until the application has its id; never, where None.
    launches_after_s: float | None = 0.5
    #: From the end of the application until its log is complete in HDFS.
    aggregates_s: float = 0.5


@lru_cache
def scenarios() -> dict[str, Scenario]:
    """Return the ready-made courses by name."""
    succeeded = Recording("succeeds", 4)
    shell = partial(Scenario, recording=succeeded)
    every = (
        shell(name="succeeds", description="runs for 20 s and succeeds", runs_s=20.0),
        shell(
            name="fails",
            description="its shell action fails with a Python traceback after 5 s",
            recording=Recording("fails", 5),
            error=SCRIPT_FAILED,
            runs_s=5.0,
        ),
        shell(name="never-ends", description="runs until somebody kills it"),
    )
    return {scenario.name: scenario for scenario in every}
