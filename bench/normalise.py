"""Normalising messy people: ours beside other ways, on the same rows, each in a process of its own.

`python -m bench.normalise [--rows 1000000] [--json FILE]` makes the people (not measured), checks that ours and the
plain loop agree record for record on a sample, and measures. Seconds are inner ones: without start, imports and the
making of the rows. Ours reads its batches from disk within them and keeps none; the others have all rows at hand before
the clock starts. Ways that go row by row are measured on at most 100,000 rows; rows a second need no scaling.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from bench.normalise_peers import NEEDED, PEERS, ROW_BY_ROW
from bench.normalise_rules import CONTRACT, PLAIN, RULES, plain_row
from bench.people import batches
from services.extractor.normalise import normalise_desired, settle_duplicates

SAMPLE_ROWS = 20_000
ROWS_MAX_ROW_BY_ROW = 100_000
MB = 1024
"""`ru_maxrss` counts KB on Linux."""


@dataclass(frozen=True)
class Measured:
    """What one way took."""

    name: str
    rows: int
    seconds: float
    cpu_seconds: float
    """Of all threads; what a machine that is busy with other things distorts least."""
    peak_mb: int
    records: int
    codes: int

    @property
    def rows_per_second(self) -> int:
        """Rows a second."""
        return int(self.rows / self.seconds)


class OnDisk(Sequence[pl.DataFrame]):
    """Batches that are read when they are asked for, and forgotten afterwards."""

    def __init__(self, folder: Path, rows: int) -> None:
        self._paths = sorted(folder.glob("*.arrow"))
        self._rows = rows

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, place: int) -> pl.DataFrame:  # type: ignore[override]  # nobody slices it
        return pl.read_ipc(self._paths[place], memory_map=False)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        left = self._rows
        for place in range(len(self)):
            if left <= 0:
                return
            batch = self[place].head(left)
            left -= batch.height
            yield batch


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.way:
        print(json.dumps(asdict(_measure(options.way, options.folder, options.rows))))
        return
    with tempfile.TemporaryDirectory(prefix="aether-people-") as name:
        folder = Path(name)
        for number, batch in enumerate(batches(options.rows)):
            batch.write_ipc(folder / f"{number:05}.arrow")
        _check(next(iter(OnDisk(folder, SAMPLE_ROWS))))
        measured = [_in_a_process(way, folder, options.rows) for way in PEERS if _is_there(way)]
    _print(measured)
    if options.json:
        document = [asdict(one) | {"rows_per_second": one.rows_per_second} for one in measured]
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=[*PEERS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _is_there(way: str) -> bool:
    missing = [package for package in NEEDED.get(way, ()) if find_spec(package) is None]
    if missing:
        print(f"left out: {way}, for want of {', '.join(missing)}; install the dependency group bench")
    return not missing


def _in_a_process(way: str, folder: Path, rows: int) -> Measured:
    asked = min(rows, ROWS_MAX_ROW_BY_ROW) if way in ROW_BY_ROW else rows
    command = [sys.executable, "-m", "bench.normalise", "--way", way, "--folder", str(folder), "--rows", str(asked)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout))


def _measure(way: str, folder: Path, rows: int) -> Measured:
    on_disk = OnDisk(folder, rows)
    at_hand: Sequence[pl.DataFrame] = on_disk if way == "ours" else list(on_disk)
    began, cpu_began = time.perf_counter(), time.process_time()
    records, codes = PEERS[way](at_hand)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // MB
    return Measured(way, rows, round(seconds, 3), round(cpu_seconds, 3), peak, records, codes)


def _check(sample: pl.DataFrame) -> None:
    """Refuse to measure what is wrong: ours must be the plain loop's, record for record and code for code."""
    result = normalise_desired(CONTRACT, RULES, {"person": sample})
    records, quarantined = settle_duplicates(result.records, result.quarantined, contract=CONTRACT)
    made = [plain_row(row) for row in sample.iter_rows(named=True)]
    wanted = sorted((record for record, _ in made if record is not None), key=lambda record: str(record[0]))
    if records.select(list(PLAIN)).rows() != wanted:
        raise SystemExit("the records of the normaliser are not those of the plain loop; nothing was measured")
    if sorted(quarantined["code"]) != sorted(code for _, codes in made for code in codes):
        raise SystemExit("the codes of the normaliser are not those of the plain loop; nothing was measured")
    print(f"checked: {len(wanted):,} records and {quarantined.height:,} codes of {sample.height:,} rows are equal")


def _print(measured: Sequence[Measured]) -> None:
    print(
        f"{'way':<14}{'rows':>12}{'seconds':>10}{'cpu s':>10}{'rows/s':>12}{'peak MB':>10}{'records':>12}{'codes':>10}"
    )
    for one in measured:
        print(
            f"{one.name:<14}{one.rows:>12,}{one.seconds:>10.2f}{one.cpu_seconds:>10.2f}{one.rows_per_second:>12,}{one.peak_mb:>10,}"
            f"{one.records:>12,}{one.codes:>10,}"
        )


if __name__ == "__main__":
    main()
