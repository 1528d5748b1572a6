#!/bin/bash
set -euo pipefail
echo "INFO report $(basename "$0") starts"
echo "INFO Failed attempts so far: 0"
trap 'echo "INFO cleaning up"' EXIT
target="/reports/${REPORT_DAY}/summary.csv"
echo "INFO writing $target"
