"""`python -m tests.soak.simulated --first N`: simulation seeds, one after the other, each told as a line of JSON.

A process of its own, because a simulation takes one processor whole and holds the event loop while it does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from itertools import count

from tests.simulation.seeds import run_seed


def main() -> None:
    """Live seeds until ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.simulated", description=__doc__)
    parser.add_argument("--first", type=int, required=True)
    first = parser.parse_args().first
    parent = os.getppid()
    for seed in count(first):
        if os.getppid() != parent:
            return
        report = run_seed(seed)
        told = {
            "seed": seed,
            "violations": list(report.violations),
            "faults": dict(report.faults),
            "runs": report.runs.total(),
            "changes": report.changes.total(),
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
