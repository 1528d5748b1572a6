#!/bin/bash
echo "calling aggregate.py with: $*"
exec python3 aggregate.py --table clicks "$@"
