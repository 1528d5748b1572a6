"""Copy the log of each application once it is aggregated, directly or by a workflow."""
