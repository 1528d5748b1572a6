#!/bin/bash
ulimit -v 400000
echo "memory limit: $(ulimit -v) kB"
python3 join_tables.py
