#!/bin/bash
echo "python: $(python3 --version)"
python3 -W always score.py
