#!/bin/bash
echo "INFO starting, retries on ERROR: 3"
for i in $(seq 1 150); do
  echo "INFO block $i of 150 done"
  [ $((i % 7)) -eq 0 ] && echo "WARN block $i: slow disk, java.io.IOException: Connection reset by peer (tried again, fine)" >&2
  sleep 1
done
