"""Make the real part of the corpus anew: `python -m tests.causes.make [name …]`.

Without a name, all jobs of `jobs/`. Each is submitted to the cluster that
`tests/cluster/cluster up` started in $CLUSTER_HOME, and what Oozie, YARN and the logs say about its
failure becomes `cases/<name>/`. A job that needs settings (`needs`) which that cluster lacks is
left out and named with them.

With `--label` no job runs: only each `case.yml` is written, from what was recorded before.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.causes.make.plan import Plan, names, plan
from tests.causes.make.recording import label, record
from tests.causes.make.running import Runner
from tests.cluster.through import described

AT_ONCE = 4  #: jobs; a small machine runs a few launchers


def main(arguments: list[str]) -> int:
    """Return the exit status: 1 where a case could not be made."""
    plans = [plan(name) for name in arguments if name != "--label"] or list(map(plan, names()))
    if "--label" in arguments:
        return max(map(labelled, plans))
    cluster = described()
    make = partial(made, Runner(cluster), str(cluster["home"]))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        together = list(pool.map(make, [each for each in plans if not each.alone]))
    return max([*together, *(make(each) for each in plans if each.alone)])


def made(runner: Runner, home: str, wanted: Plan) -> int:
    """Make a case, and return 1 where that was not possible."""
    if lacking := runner.lacks(wanted):
        print(f"{wanted.name}: left out, the cluster lacks {' '.join(lacking)}", flush=True)
        return 0
    try:
        record(wanted, runner.run(wanted), home)
    except Exception as error:  # the other cases are to be made all the same
        print(f"{wanted.name}: {error!r}", flush=True)
        return 1
    return labelled(wanted)


def labelled(wanted: Plan) -> int:
    """Label a recorded case, and return 1 where its lines are not as planned."""
    try:
        label(wanted)
    except (LookupError, OSError) as error:
        print(error, flush=True)
        return 1
    print(f"{wanted.name}: {wanted.category.value}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
