"""Claim tasks and run them when they are due, whatever their kind: what all workers share."""
