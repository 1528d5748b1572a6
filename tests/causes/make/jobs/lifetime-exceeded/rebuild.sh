#!/bin/bash
for i in $(seq 1 150); do echo "rebuild: entry $i, failed 0"; sleep 1; done
