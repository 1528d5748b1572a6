"""Hide secrets in logs and in what Oozie and YARN say, before anybody keeps it."""
