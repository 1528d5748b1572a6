"""Track Oozie jobs: take posted ids, ask Oozie about them in bulk, and record what changed."""
