#!/bin/bash
echo "python: $(python3 --version)"
export PYTHONPATH=$PWD
python3 -W always score.py
