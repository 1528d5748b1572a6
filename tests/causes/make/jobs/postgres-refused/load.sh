#!/bin/bash
set -e
seq 1 50 > rows.csv
echo "loading $(wc -l < rows.csv) rows"
psql -X -v ON_ERROR_STOP=1 -h localhost -p 15999 -U loader -d sales -c "\copy staging from rows.csv"
echo "loaded"
