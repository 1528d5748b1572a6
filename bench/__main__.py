"""Run the measurements: all of them, or those that are named: `python -m bench big_log`."""

from __future__ import annotations

import sys

from bench import big_log, thousand_jobs

MEASUREMENTS = {"thousand_jobs": thousand_jobs.main, "big_log": big_log.main}

for name in sys.argv[1:] or MEASUREMENTS:
    MEASUREMENTS[name]()
