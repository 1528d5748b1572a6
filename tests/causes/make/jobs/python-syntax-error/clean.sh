#!/bin/bash
echo "cleaning up after the last run: rm: cannot remove 'old.tmp': No such file or directory (ignored)"
python3 clean.py && echo "cleaned"
