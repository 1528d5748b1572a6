"""How the service scales, beside the peer, on one neutral gateway: `python -m bench scale`."""
