"""What is kept: jobs, tasks, jobsets, copies and sealed credentials, in one SQL database."""
