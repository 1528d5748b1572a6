"""What the cluster says: Oozie, YARN and WebHDFS, asked through one gateway."""
