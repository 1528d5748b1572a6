"""Hold tasks by lease and do what is due: the part of a worker that all kinds of tasks share."""
