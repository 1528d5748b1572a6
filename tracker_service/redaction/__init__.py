"""Mask secrets in logs and in the messages of Oozie and YARN before they are stored."""
