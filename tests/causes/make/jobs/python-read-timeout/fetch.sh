#!/bin/bash
python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", 18431)); time.sleep(25)' &
sleep 1
echo "catalogue: asking localhost:18431"
python3 -u catalogue.py
code=$?
kill %1
exit $code
