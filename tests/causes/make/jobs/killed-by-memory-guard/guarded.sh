#!/bin/bash
python3 loader.py &
pid=$!
while kill -0 $pid 2>/dev/null; do
  rss=$(( $(awk '/VmRSS/ {print $2}' /proc/$pid/status 2>/dev/null || echo 0) / 1024 ))
  if [ "$rss" -gt 200 ]; then
    echo "memory-guard: loader.py uses $rss MB, the limit is 200 MB: killing it" >&2
    kill -9 $pid
  fi
  sleep 0.2
done
wait $pid
code=$?
echo "loader.py ended with $code"
exit $code
