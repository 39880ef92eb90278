"""`python -m simulators.district`: makes the sample district's databases, the vendor's seed and the truth.

It writes four files (or two databases at given addresses and two files) and prints what is in them. Files of an earlier
call in the same folder are replaced; tables at a given address only with --replace.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from datetime import date
from pathlib import Path

from simulators.district.databases import sqlite_url, write_aeries, write_hr
from simulators.district.people import REFERENCE_DATE, STAFF_DEFAULT
from simulators.district.truth import truth_of, write_json
from simulators.district.vendor import ChangeCounts, leave_behind
from simulators.district.world import generate


def main(arguments: list[str] | None = None) -> int:
    """Make a district as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m simulators.district", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--staff", type=int, default=STAFF_DEFAULT, help="employees in the HR database")
    parser.add_argument("--students", type=int, default=0, help="students in the Aeries database, with their classes")
    parser.add_argument("--reference-date", type=date.fromisoformat, default=REFERENCE_DATE, metavar="YYYY-MM-DD")
    parser.add_argument("--aeries-url", help="SQLAlchemy address; default an SQLite file in the folder")
    parser.add_argument("--hr-url", help="SQLAlchemy address; default an SQLite file in the folder")
    parser.add_argument("--replace", action="store_true", help="drop tables of these names at the given addresses")
    parser.add_argument("--keep", action="store_true", help="do nothing when the folder holds a district already")
    for each in fields(ChangeCounts):
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=int, default=each.default, metavar="N")
    options = parser.parse_args(arguments)
    if options.keep and (options.out / "truth.json").exists():
        sys.stdout.write(f"{options.out} holds a district, which is kept\n")
        return 0
    try:
        truth = make(
            out=options.out,
            seed=options.seed,
            staff=options.staff,
            students=options.students,
            reference=options.reference_date,
            counts=ChangeCounts(**{each.name: getattr(options, each.name) for each in fields(ChangeCounts)}),
            aeries_url=options.aeries_url,
            hr_url=options.hr_url,
            replace=options.replace,
        )
    except ValueError as error:
        sys.stderr.write(f"district: {error}\n")
        return 1
    sys.stdout.write(_table(truth))
    return 0


def make(
    *,
    out: Path,
    seed: int = 7,
    staff: int = STAFF_DEFAULT,
    students: int = 0,
    reference: date = REFERENCE_DATE,
    counts: ChangeCounts | None = None,
    aeries_url: str | None = None,
    hr_url: str | None = None,
    replace: bool = False,
) -> dict[str, object]:
    """Write aeries.db, hr.db (or to the addresses), titanhst.json and truth.json; returns the truth."""
    out.mkdir(parents=True, exist_ok=True)
    world = generate(seed=seed, staff=staff, students=students, reference=reference)
    state = leave_behind(world, counts)
    write_aeries(world, aeries_url or _fresh(out / "aeries.db"), replace=replace)
    write_hr(world, hr_url or _fresh(out / "hr.db"), replace=replace)
    truth = truth_of(world, state)
    write_json(out / "titanhst.json", state.document)
    write_json(out / "truth.json", truth)
    return truth


def _fresh(path: Path) -> str:
    path.unlink(missing_ok=True)
    return sqlite_url(path)


def _table(truth: dict[str, object]) -> str:
    lines = [f"{name:<18}{value:>8}" for name, value in truth.items() if isinstance(value, int)]
    for name in ("counts", "quarantine_counts"):
        counts = truth[name]
        if isinstance(counts, dict):
            lines += ["", f"{name}:"] + [f"  {each:<16}{value:>8}" for each, value in counts.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
