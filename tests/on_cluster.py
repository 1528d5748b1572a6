"""Run a command while the real cluster is up: `python -m tests.on_cluster pytest -m cluster`.

If no cluster can be started, the command runs anyway. Its tests are then skipped with the reason,
and do not try to start a cluster again.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.stands import MISSING, NoCluster, real_stand


def main() -> int:
    """Run the command; return its exit status."""
    try:
        with real_stand():
            return subprocess.call(sys.argv[1:])
    except NoCluster as error:
        return subprocess.call(sys.argv[1:], env=os.environ | {MISSING: str(error)})


if __name__ == "__main__":
    sys.exit(main())
