"""Keep jobs, tasks, jobsets, copies and encrypted credentials in one SQL database."""
