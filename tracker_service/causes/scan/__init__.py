"""Find the lines of a log that may prove a cause, in one pass while the log streams by."""
