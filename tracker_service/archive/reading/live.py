"""Give the logs of running containers to the owner of their application."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from tracker_service.archive.formats.node_file import Log
from tracker_service.archive.formats.yarn_text import as_text
from tracker_service.domain.applications import ApplicationId, short
from tracker_service.errors import NotAllowed, NotRunning, TrackerError
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.nodes import Nodes, RunningContainer, RunningLog

_MOST_CONTAINERS = 1000  #: in one answer
_UNKNOWN = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is wanted of an application's logs; without a name: all."""

    container: str | None = None
    file: str | None = None
    #: bytes that the reader has of files, by container and name; a file begins after them
    seen: Mapping[tuple[str, str], int] = field(default_factory=dict)


def live_log(
    access: ClusterAccess, caller: str, application: ApplicationId, chosen: Chosen
) -> Generator[bytes, None, None]:
    """Open the logs that the containers of an application write now.

    The NodeManagers do not ask who reads, so the owner is compared here.

    Args:
        caller: the verified name of who asks.

    Returns:
        what they have written until now, as `yarn logs` prints it, in pieces.

    Raises:
        NotAllowed: it is somebody else's application.
        NotRunning: it has ended, or has no such container now.
        RouteClosed: this site does not allow it.
        ApplicationNotFound: YARN does not know it (any more).
        GatewayUnavailable: YARN, or the first of its nodes, does not answer.
    """
    report = access.yarn.application(application)
    if report.user != caller:
        raise NotAllowed(
            f"Application {short(application)} belongs to {report.user}: only they may read its "
            "log while it runs. Once it is saved, ask as usual, without live=true."
        )
    if report.has_ended:
        raise NotRunning(
            f"Application {short(application)} has ended ({report.state}): read its saved log, "
            "without live=true."
        )
    running = access.yarn.running_containers(application)
    wanted = (container for container in running if chosen.container in (None, container.id))
    containers = list(islice(wanted, _MOST_CONTAINERS))
    if not containers:
        named = f"no container {chosen.container}" if chosen.container else "no container"
        raise NotRunning(
            f"Application {short(application)} has {named} now (it is {report.state}): ask again "
            "in a moment."
        )
    live = _Live(access.nodes, report.user, chosen)
    first = live.logs_of(containers[0])
    pieces = live.text(containers, first)
    next(pieces)
    return pieces


@dataclass(frozen=True, slots=True)
class _Live:
    """The logs that one user's containers write, as far as they are wanted."""

    nodes: Nodes
    user: str
    chosen: Chosen

    def text(
        self, containers: Sequence[RunningContainer], first: Sequence[RunningLog]
    ) -> Generator[bytes, None, None]:
        """Yield an empty piece, so that closing it closes what it reads, then the text."""
        yield b""
        for container in containers:
            try:
                logs = first if container is containers[0] else self.logs_of(container)
            except TrackerError as error:
                yield f"No log of container {container.id}: {error}\n".encode()
            else:
                name = container.node.replace(":", "_")
                yield from as_text(name, self._opened(container, logs), kind="LOCAL")

    def logs_of(self, container: RunningContainer) -> Sequence[RunningLog]:
        """Return the wanted logs of a container."""
        found = self.nodes.logs(container, self.user)
        return [log for log in found if self.chosen.file in (None, log.name)]

    def _opened(self, container: RunningContainer, logs: Iterable[RunningLog]) -> Iterator[Log]:
        """Yield the logs; leave out those of which the reader has all."""
        for log in logs:
            start = self.chosen.seen.get((container.id, log.name), 0)
            if start and start >= log.length:
                continue
            yield Log(
                container=container.id,
                name=log.name,
                length=log.length - start,
                modified_at=_UNKNOWN,
                content=self._content(container, log, start),
            )

    def _content(self, container: RunningContainer, log: RunningLog, start: int) -> Iterator[bytes]:
        try:
            with closing(self.nodes.read(container, self.user, log, start)) as pieces:
                yield from pieces
        except TrackerError as error:
            yield f"\nNo more of this log: {error}".encode()
