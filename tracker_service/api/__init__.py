"""The HTTP API. Its paths and JSON keys are those of the original tracker, and more."""
