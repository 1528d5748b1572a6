"""Ask the cluster: Oozie, YARN and WebHDFS, through one gateway."""
