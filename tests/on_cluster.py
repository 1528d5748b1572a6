"""Run a command while the real cluster is up: `python -m tests.on_cluster pytest -m cluster`.

Where no cluster can be started the command runs all the same: its tests say why they are left out,
and do not try it again.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.stands import MISSING, NoCluster, real_stand


def main() -> int:
    """Return the exit status of the command."""
    try:
        with real_stand():
            return subprocess.call(sys.argv[1:])
    except NoCluster as error:
        return subprocess.call(sys.argv[1:], env=os.environ | {MISSING: str(error)})


if __name__ == "__main__":
    sys.exit(main())
