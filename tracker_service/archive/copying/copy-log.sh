#!/bin/bash
# Put the aggregated log of one YARN application into HDFS as a file of its own.
# Arguments: application id, its owner, path of the new file, path for the reason of a failure.
set -o pipefail
umask 077
application=$1 owner=$2 part=$3 reason=$4
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT

put() { hdfs dfs -D fs.permissions.umask-mode=077 -put -f - "$1"; }

# Without pipefail a log that cannot be read would count as an empty one that was copied.
if yarn logs -applicationId "$application" -appOwner "$owner" 2>>"$errors" | put "$part" 2>>"$errors"
then
  exit 0
fi
cat "$errors" >&2
tail -n 20 "$errors" | put "$reason"
exit 1
