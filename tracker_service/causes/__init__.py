"""Conclude why a job failed, from its logs and from the messages of Oozie and YARN."""
