#!/bin/bash
echo "copying salaries"
hdfs dfs -test -e /user/guest/copy-salaries/.lock && { echo "locked"; exit 75; }
hdfs dfs -get /user/sam/private/salaries.csv salaries.csv || exit 1
wc -l salaries.csv
