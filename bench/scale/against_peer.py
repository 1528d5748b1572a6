"""Compare with the peer: the time of a POST, and the time until the end of a job is known."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from bench.scale.neutral import Count, NeutralGateway, Topology
from bench.scale.peer import Peer, peer
from bench.scale.rows import Bench, Row, p95, progress, service
from tests.acceptance.service import RunningService

JOBS = 1000
ROUNDS = 5
ENDS_WITHIN_S = 60.0  #: one round of the peer's looks takes about 54 s
_LONGEST_S = 240.0
_LOOK_S = 0.1


@dataclass(frozen=True)
class _Post:
    seconds: float
    count: Count


def _post(gateway: NeutralGateway, topology: Topology, track: Callable[[], None]) -> _Post:
    before, began = gateway.count(topology), time.perf_counter()
    track()
    seconds = time.perf_counter() - began
    return _Post(seconds, gateway.count(topology).since(before))


@dataclass
class _Side:
    """One of the two trackers, and when it knew the ends of jobs."""

    topology: Topology
    ended: Callable[[Sequence[str]], set[str]]
    seconds: dict[str, float] = field(default_factory=dict)  #: until it knew the end, by job


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows of the POST and of the ends."""
    gateway = bench.gateway
    own_topology, peer_topology = gateway.topology("ours"), gateway.topology("peer")
    posts = list(_our_posts(bench, gateway.topology("posts")))
    jobs = gateway.start(JOBS, ["guest"])
    with (
        service(own_topology, bench.home / "ours") as running,
        peer(peer_topology, bench.home / "peer") as other,
    ):
        peer_post = _post(gateway, peer_topology, lambda: other.track(jobs))
        progress(f"  the peer's POST: {peer_post.seconds:.1f} s")
        yield _post_row(posts, peer_post)
        running.track(*jobs)
        yield _ends_row(gateway, running, other, (own_topology, peer_topology), jobs)


def _our_posts(bench: Bench, topology: Topology) -> Iterator[_Post]:
    with service(topology, bench.home / "posts") as running:
        running.get("jobs/tracking")  # has the caller verified
        for number in range(ROUNDS):
            jobs = bench.gateway.start(JOBS, ["guest"])
            post = _post(bench.gateway, topology, partial(running.track, *jobs))
            progress(f"  POST {number + 1}: {post.seconds:.2f} s")
            yield post


def _post_row(posts: Sequence[_Post], peers: _Post) -> Row:
    seconds = statistics.median(post.seconds for post in posts)
    # Meanwhile, the worker asks about the jobs of earlier rounds.
    requests = min(post.count.requests for post in posts)
    share = peers.seconds / seconds
    return Row(
        f"POST of {JOBS:,} ids, median of {ROUNDS}",
        "≤ 1/40 of the peer's time, ≤ 12 requests",
        f"{seconds:.2f} s with {requests} requests; the peer {peers.seconds:.1f} s: 1/{share:.0f}",
        is_met=share >= 40 and requests <= 12,
        per_minute=60 * requests / seconds,
        peer_per_minute=peers.count.per_minute,
    )


def _ends_row(
    gateway: NeutralGateway,
    running: RunningService,
    other: Peer,
    topologies: tuple[Topology, Topology],
    jobs: Sequence[str],
) -> Row:
    begin = time.time() + 2
    # Spread evenly over one round of the peer's polls, so that no side is favoured by the timing.
    ends = {job: begin + random.uniform(0, ENDS_WITHIN_S) for job in jobs}
    gateway.end(ends)
    before = [gateway.count(topology) for topology in topologies]
    sides = [
        _Side(topologies[0], lambda _: _ended(running)),
        _Side(topologies[1], other.ended),
    ]
    _watch(sides, ends)
    counts = [gateway.count(t).since(b) for t, b in zip(topologies, before, strict=True)]
    own_s, peer_s = (p95(side.seconds.values()) for side in sides)
    return Row(
        f'"job ended" → "tracker knows", {JOBS:,} jobs',
        "p95 ≤ 1/10 of the peer's",
        f"p95 {own_s:.2f} s; the peer {peer_s:.1f} s: 1/{peer_s / own_s:.0f}",
        is_met=all(len(side.seconds) == len(jobs) for side in sides) and peer_s >= 10 * own_s,
        per_minute=counts[0].per_minute,
        peer_per_minute=counts[1].per_minute,
    )


def _ended(running: RunningService) -> set[str]:
    rows = running.query("SELECT external_id FROM jobs WHERE status = 'SUCCEEDED'")
    return {row[0] for row in rows}


def _watch(sides: Sequence[_Side], ends: dict[str, float]) -> None:
    """Ask both trackers for the ended jobs again and again, until both know all ends."""
    deadline, printed_at = time.time() + _LONGEST_S, 0.0
    while time.time() < deadline and any(len(side.seconds) < len(ends) for side in sides):
        for side in sides:
            waiting = [job for job in ends if job not in side.seconds]
            known = side.ended(waiting) if waiting else set()
            now = time.time()
            side.seconds |= {job: now - ends[job] for job in waiting if job in known}
        if now - printed_at > 15:
            printed_at = now
            progress(f"  known ends: {[len(side.seconds) for side in sides]} of {len(ends)}")
        time.sleep(_LOOK_S)
