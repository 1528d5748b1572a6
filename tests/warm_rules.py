"""Compile the rules of causes when this is imported: by the process that forks the others, once."""

from tracker_service.causes.rules import own_rules

own_rules()
