"""Poisons as much as told and prints the table: `python -m tests.poison --count 100000 --seed 7`; 1 for a violation."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.poison.passes import PASSES, SHARES, silence


def main() -> int:
    """Run the passes that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.poison", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same inputs")
    parser.add_argument("--only", choices=sorted(PASSES), help="one class of input")
    asked = parser.parse_args()
    silence()
    total = violations = 0
    for name, poison in PASSES.items():
        if asked.only not in (None, name):
            continue
        count = asked.count if asked.only else round(asked.count * SHARES[name])
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            tally = asyncio.run(poison(count, asked.seed, Path(folder)))
        sys.stdout.write(f"{tally.table()}\n{name}: {time.monotonic() - began:.1f} s\n\n")
        total, violations = total + tally.total, violations + len(tally.violations)
    sys.stdout.write(f"{total} poisoned inputs, {violations} violations, seed {asked.seed}\n")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
