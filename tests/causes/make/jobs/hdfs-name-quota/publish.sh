#!/bin/bash
for part in 0 1 2 3; do echo "row $part" > part-$part.csv; done
echo "publishing 4 parts"
hdfs dfs -put part-0.csv part-1.csv part-2.csv part-3.csv /data/published/
code=$?
echo "put ended with $code"
exit $code
