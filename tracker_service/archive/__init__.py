"""Save the logs of jobs that did not succeed, and give them back."""
