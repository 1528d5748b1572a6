"""A ledger for jobs that report themselves: the next job, updates, heartbeats, post-processing."""
