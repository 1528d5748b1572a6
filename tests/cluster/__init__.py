"""A real Hadoop, Oozie and Knox on this machine, for the tests of the service. See README.md."""
