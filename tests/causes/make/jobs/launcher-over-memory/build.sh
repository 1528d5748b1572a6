#!/bin/bash
echo "build: index of 40 shards"
python3 -u build.py
