#!/bin/bash
echo "load starts"
echo "previous run: 0 errors, 2 warnings" >&2
for day in 2026-11-24 2026-11-25; do
  echo "loading $day"
  if [ -f "$day.csv" ]; then
    echo "found $day"
done
echo "load ends"
