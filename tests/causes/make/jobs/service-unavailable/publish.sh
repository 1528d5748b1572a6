#!/bin/bash
python3 registry.py & server=$!
sleep 1
python3 publish.py http://localhost:18432/subjects/orders/versions
code=$?
kill $server
exit $code
