#!/bin/bash
echo "sync: timeout of each step is 4 s"
step() {
  name=$1; shift
  echo "sync: step $name starts"
  timeout 4 "$@"
  code=$?
  if [ $code -eq 124 ]; then
    echo "sync: step $name did not finish within 4 s, giving up (exit code 124)" >&2
    exit 124
  fi
  echo "sync: step $name ended with $code"
}
step lock true
step list ls
step refresh sh -c 'i=0; while true; do i=$((i+1)); echo "refresh: waiting for the other side ($i)"; sleep 1; done'
