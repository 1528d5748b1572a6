"""Measure how the service scales, on one neutral gateway, side by side with the peer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.scale import against_peer, api, sweeps, workers
from bench.scale.neutral import LATENCY_S, neutral_gateway
from bench.scale.rows import HEAD, Bench, Row, progress

ROWS: Mapping[str, Callable[[Bench], Iterator[Row]]] = {
    "peer": against_peer.measure,
    "10k": sweeps.own_identities,
    "10k-service": sweeps.service_identities,
    "100k": sweeps.hundred_thousand,
    "workers": workers.measure,
    "load": api.under_load,
    "listing": api.listing,
}


def main(only: Sequence[str] = ()) -> None:
    """Run all measurements, or the named ones, and print one table."""
    rows: list[Row] = []
    for name in only or ROWS:
        progress(name)
        with tempfile.TemporaryDirectory() as home, neutral_gateway() as gateway:
            for row in ROWS[name](Bench(gateway, Path(home))):
                progress(f"  {row}")
                rows.append(row)
    print(f"At {LATENCY_S * 1000:.0f} ms a request:\n\n{HEAD}")
    for row in rows:
        print(row)
