#!/bin/bash
echo "rotate: 3 files"
for file in a b c; do echo "rotate: $file is 2 days old, kept"; done
echo "rotate: checking free space, 0 errors"
test "$(date +%Y)" = 1999
