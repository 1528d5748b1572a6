#!/bin/bash
echo "mirror: comparing the lists of both clusters"
hdfs dfs -ls /user || exit 1
hdfs dfs -D ipc.client.connect.max.retries=3 -ls hdfs://localhost:8999/user || exit 2
