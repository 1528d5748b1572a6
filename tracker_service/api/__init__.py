"""The HTTP API: the paths and JSON keys of the original tracker, and more."""
