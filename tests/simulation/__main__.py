"""`python -m tests.simulation --seeds 1000 --from 1`: live many seeds, and say what was violated."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from contextlib import nullcontext

FIXED = {"PYTHONHASHSEED": "0", "POLARS_MAX_THREADS": "1"}
"""The order of sets decides what happens too; and frames of thirty rows need no threads."""


def main() -> int:
    """Live the seeds asked for; 1 when something was violated that must never be."""
    asked = _arguments()
    if any(os.environ.get(name) != value for name, value in FIXED.items()):
        os.execve(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], os.environ | FIXED)
    # Only now: what is imported here reads the environment.
    from tests.simulation.sabotage import SABOTAGES
    from tests.simulation.seeds import SeedReport, run_seed

    if asked.sabotage and asked.sabotage not in SABOTAGES:
        sys.stderr.write(f"there is no sabotage {asked.sabotage!r}; there are: {', '.join(SABOTAGES)}\n")
        return 2
    sabotage = SABOTAGES[asked.sabotage] if asked.sabotage else nullcontext
    began, total = time.monotonic(), _Total()
    for seed in range(asked.first, asked.first + asked.seeds):
        if asked.seconds and time.monotonic() - began > asked.seconds:
            break
        report: SeedReport = run_seed(seed, sabotage=sabotage, lines=asked.lines)
        total.take(report)
        if report.violations:
            sys.stdout.write(f"seed {seed}: {len(report.violations)} violations, fingerprint {report.fingerprint}\n")
            sys.stdout.writelines(f"  violated  {one}\n" for one in report.violations[:20])
            sys.stdout.writelines(f"    {line}\n" for line in report.trace)
            if asked.stop:
                break
    sys.stdout.write(total.table(time.monotonic() - began))
    return 1 if total.violated else 0


class _Total:
    """What all seeds came to."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.virtual_seconds = 0.0
        self.violated: list[int] = []

    def take(self, report: object) -> None:
        """Add one seed."""
        from tests.simulation.seeds import SeedReport

        assert isinstance(report, SeedReport)
        self.counts.update(seeds=1, effects=report.effects, messages=report.messages)
        self.faults += report.faults
        self.runs += report.runs
        self.changes += report.changes
        self.virtual_seconds += report.virtual_seconds
        if report.violations:
            self.violated.append(report.seed)

    def table(self, seconds: float) -> str:
        """All of it in lines."""
        lines = [
            f"{self.counts['seeds']} seeds in {seconds:.0f} s, {self.virtual_seconds / 3600:.1f} virtual hours",
            f"{self.runs.total()} runs, {self.changes.total()} outcomes, {self.counts['effects']} effects, "
            f"{self.counts['messages']} messages, {self.faults.total()} faults",
            f"seeds with violations: {len(self.violated)} {self.violated[:50] or ''}",
        ]
        for title, counted in (("runs", self.runs), ("outcomes", self.changes), ("faults", self.faults)):
            lines += [f"{title:9} {name:28} {number:8}" for name, number in counted.most_common()]
        return "\n".join(lines) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first seed's number")
    parser.add_argument("--seconds", type=float, default=0, help="begin no further seed after this time; 0: all")
    parser.add_argument("--sabotage", default="", help="live them in a house that is broken in this way")
    parser.add_argument("--lines", type=int, default=40, help="of the trace that a violation shows")
    parser.add_argument("--stop", action="store_true", help="end at the first violation")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
