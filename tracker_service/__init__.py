"""Follow Oozie jobs through Knox and save the logs of those that failed."""
