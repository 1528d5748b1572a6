#!/bin/bash
echo "fetching rates, errors of single pages are ignored"
curl -sS --fail --max-time 10 -o rates.json http://localhost:9413/rates/latest || exit $?
wc -c rates.json
