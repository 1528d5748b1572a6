"""Measure how the service scales, next to the peer, on one gateway: `python -m bench scale`."""
