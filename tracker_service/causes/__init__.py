"""Why a job failed: from the lines of its logs and the words of Oozie and YARN to one cause."""
