#!/bin/bash
export FEED=http://localhost:9411/feed/latest.json
echo "feed: $FEED"
python3 fetch.py
