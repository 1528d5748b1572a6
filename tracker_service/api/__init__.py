"""The HTTP API: the paths and shapes that clients of the original tracker know, and more."""
