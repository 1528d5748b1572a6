"""Read saved logs: whole, in part, searched, and while they still grow."""
