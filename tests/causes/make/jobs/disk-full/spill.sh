#!/bin/bash
set -e
ln -sf /dev/full spill.bin     # a scratch disk without a free byte
echo "df of scratch:"
df -h . | tail -1 | awk '{print $2, $3, $5}'
echo "spilling 64 MB"
head -c 1000 /dev/zero > first.bin && echo "first.bin written"
cat first.bin first.bin > spill.bin
echo "spilled"
