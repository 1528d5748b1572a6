#!/bin/bash
echo "loading $1"
if [ "$1" = 2026-11-02 ]; then
  echo "no data of $1" >&2
  exit 1
fi
