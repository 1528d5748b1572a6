"""Run a command while the real cluster is up: `python -m tests.on_cluster pytest -m cluster`.

Where no cluster can be started the command runs all the same: its tests say why they are left out.
"""

from __future__ import annotations

import subprocess
import sys

from tests.stands import NoCluster, real_stand


def main() -> int:
    """Return the exit status of the command."""
    try:
        with real_stand():
            return subprocess.call(sys.argv[1:])
    except NoCluster:
        return subprocess.call(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
