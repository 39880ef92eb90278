"""Two snapshots of N people, 25 columns, 1 % creates, 1 % removals, 3 % updates, shuffled: how long until every changed
cell is known, before and after, beside peers on the same data.

`python -m bench.diff [--rows 1000000 ...] [--repeat 3] [--only NAME ...] [--json FILE]`. Each contestant runs in a
process of its own; the best of some runs counts. Seconds are inner ones: from opening the files (which lie in the
system's cache) to the last cell, without imports. Memory is the largest resident size of the process, imports included.
All must find the same numbers and the same cells, or the measurement ends.

Ours reads what a differ is handed: uncompressed Arrow, cut and ordered by key hash, with fingerprints. `ours, warm` has
that of both sides, as the extractor leaves it; `ours, new side raw` has it of the side that was there before and reads,
hashes and orders the new one from Parquet; `ours, first run` does so for both. `ours, plan pages` is the whole differ:
stage one and two, causes, commitments, finished writes, pages as bytes.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from bench.diff_peers import CELLS, FIELDS, PEERS, Contest, Found, cells_of, load
from bench.snapshots import COLUMNS, KEY, ROW_GROUP_ROWS, partitions_of, write
from services.differ.comparing import Elsewhere, Entity, Memory, Waves
from services.differ.diff import changes_of_pairs, compare, residue_of
from services.differ.engine import pair
from services.differ.settling import settle
from shared.contract.model import EntityContract
from shared.plan.change import Change
from shared.plan.document import PAGE_CHANGES_MAX, PlanPage
from shared.plan.pages import body_of_page
from shared.ports.wire import ChangeVerb, Record, WireWrite
from shared.records.hashes import HASH_COLUMNS, KEY_HASH, with_hashes

DICTS_ROWS_MAX = 1_000_000
"""Plain dicts take 4.5 GB at this many rows."""
PEER_ROWS_MAX = 1_000_000
"""Above, only contestants that stay below a few gigabytes run."""
LARGE = ("ours, warm", "ours, first, batches", "ours, plan pages", "duckdb row hash", "polars row hash")
MINUTES_MAX = 15
COLLECT_AFTER_OBJECTS = 200_000
"""As `shared.bus.program` has it, which is not imported for the memory that its web server takes."""
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@dataclass
class Result:
    """What one contestant took."""

    rows: int
    contestant: str
    seconds: float
    cpu_seconds: float
    """Of all threads; tells more than the clock where other work shares the machine."""
    peak_mb: int
    creates: int
    removals: int
    records: int
    """Records that differ."""
    cells: int
    checksum: str


# --- ours -----------------------------------------------------------------------------------------------------------


def ours_warm(folder: Path) -> Found:
    """Both sides as a differ is handed them."""
    return _paired(_stored(folder, "before"), _stored(folder, "after"))


def ours_new_side_raw(folder: Path) -> Found:
    """The side that was there before as kept, the new one from Parquet: only its fingerprints are put in order."""
    after = _hashed(pl.read_parquet(folder / "after.parquet"))
    number = (pl.col(KEY_HASH) % partitions_of(_rows_of(folder))).alias("part")
    light = after.select("key", *HASH_COLUMNS, number).with_row_index("row").partition_by("part", as_dict=True)
    found = Found(0, 0, [])
    olds, changed, created = [], [], []
    for before, key in zip(_stored(folder, "before"), sorted(light), strict=True):
        paired = pair(light[key], before)
        rows = light[key].get_column("row")
        olds.append(_apart(before.select(COLUMNS)[paired.existing[paired.unequal]]))
        changed.append(rows[paired.desired[paired.unequal]])
        created.append(rows[paired.unmatched])
        found.removals += before[paired.absent].height
    old = pl.concat(olds).rename(lambda name: "old " + name)
    new = after.select(COLUMNS)[pl.concat(changed)].rename(lambda name: "new " + name)
    found.cells = cells_of(old.hstack(new), before="old ", after="new ", key="new " + KEY)
    found.creates = after[pl.concat(created)].height
    return found


def ours_first_run(folder: Path) -> Found:
    """Both sides from Parquet, whole."""
    sides = (_hashed(pl.read_parquet(folder / f"{name}.parquet")) for name in ("before", "after"))
    before, after = sides
    return _paired(iter([before]), iter([after]))


def ours_first_run_by_batches(folder: Path) -> Found:
    """Both sides from Parquet, batch by batch: of the old side only keys and fingerprints stay, and what differs is
    fetched in a second reading."""
    old = pl.concat(_hashed(batch).select("key", *HASH_COLUMNS) for batch in _batches(folder, "before"))
    old = old.with_row_index("row").sort(KEY_HASH)
    taken = np.zeros(old.height, dtype=np.bool_)
    found = Found(0, 0, [])
    rows, changed = [], []
    for batch in _batches(folder, "after"):
        hashed = _hashed(batch)
        paired = pair(hashed, old)
        taken[paired.existing] = True
        found.creates += hashed[paired.unmatched].height
        rows.append(old.get_column("row")[paired.existing[paired.unequal]])
        new = hashed.select(COLUMNS)[paired.desired[paired.unequal]]
        changed.append(_apart(new.rename(lambda name: "new " + name)))
    new = pl.concat(changed).with_columns(pl.concat(rows).alias("row"))
    gone = old.get_column("row").filter(pl.Series(~taken)).sort()
    start = 0
    for batch in _batches(folder, "before"):
        numbered = batch.with_row_index("row", offset=start)
        pairs = numbered.rename(lambda name: "old " + name if name != "row" else name).join(new, on="row")
        found.cells += map(_apart, cells_of(pairs, before="old ", after="new ", key="new " + KEY))
        here = gone.filter(gone.is_between(start, start + batch.height - 1))
        found.removals += batch[here - start].height
        start += batch.height
    return found


def _stored(folder: Path, name: str) -> Iterator[pl.DataFrame]:
    for number in range(len(list(folder.glob(f"{name}-*.arrow")))):
        yield pl.read_ipc(folder / f"{name}-{number}.arrow", memory_map=True)


def _batches(folder: Path, name: str) -> Iterator[pl.DataFrame]:
    whole = pl.scan_parquet(folder / f"{name}.parquet")
    for start in range(0, _rows_of(folder) * 2, ROW_GROUP_ROWS):
        batch = whole.slice(start, ROW_GROUP_ROWS).collect()
        if batch.is_empty():
            return
        yield batch


def _hashed(frame: pl.DataFrame) -> pl.DataFrame:
    return with_hashes(frame.with_columns(pl.col(KEY).alias("key")), COLUMNS)


def _apart(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows in memory of their own: taken rows otherwise keep all the text of the frame that they are from."""
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return pl.read_ipc_stream(buffer)


def _rows_of(folder: Path) -> int:
    return int((folder / "rows").read_text(encoding="ascii"))


def _paired(befores: Iterator[pl.DataFrame], afters: Iterator[pl.DataFrame]) -> Found:
    """Compare part by part."""
    found = Found(0, 0, [])
    for before, after in zip(befores, afters, strict=True):
        paired = pair(after, before)
        new = after.select(COLUMNS)[paired.desired[paired.unequal]].rename(lambda name: "new " + name)
        old = before.select(COLUMNS)[paired.existing[paired.unequal]].rename(lambda name: "old " + name)
        found.cells.append(_apart(pl.concat(cells_of(old.hstack(new), before="old ", after="new ", key="new " + KEY))))
        # The rows themselves are fetched, as whoever plans creates and removals needs them.
        found.creates += after[paired.unmatched].height
        found.removals += before[paired.absent].height
    return found


# --- ours, up to the bytes of the plan ------------------------------------------------------------------------------


class _Wire:
    """Writes whose bodies are the values themselves."""

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        path = f"/{entity}" if target_id is None else f"/{entity}/{target_id}"
        return WireWrite("POST" if target_id is None else "PATCH", path, dict(values))


class _Ledger(dict[str, Memory]):
    """A ledger that knows every record but the new ones: written in all fields, otherwise, and missed once before.

    Made when it is asked for, for the measured time is the comparison's and not the database's.
    """

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._first_new = f"E{rows:08}"
        self._known = Memory("", written=_WRITTEN, strikes=1, last_strike_at=NOW - timedelta(days=2))

    def get(self, key: str, default: Memory | None = None) -> Memory | None:  # type: ignore[override]  # one meaning
        """What is known of a key."""
        return self._known if key < self._first_new else default


_WRITTEN = dict.fromkeys(COLUMNS, "hmac-sha256:" + "0" * 64)


def entity() -> Entity:
    """The entity that the pages are made of."""
    fields = {name: {"from": [f"person.{name}"], "clear": True} for name in FIELDS}
    contract = EntityContract.model_validate(
        {
            "from": {"source": "person"},
            "key": KEY,
            "correlate": ["email"],
            "fields": {KEY: {"from": [f"person.{KEY}"]}, **fields, "active": {"constant": True, "format": "boolean"}},
            "removal": {"ladder": "suspend", "suspended": {"active": False}},
        }
    )
    return Entity("target", "people", contract, Waves(1, 2), _Wire(), bytes(range(32)))


def ours_plan_pages(folder: Path) -> Found:
    """Both stages, down to the bytes of the pages, with the collector set as every service of the house sets it."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 50, 50)
    return _plan_pages(folder)


def _plan_pages(folder: Path) -> Found:
    people, ledger = entity(), _Ledger(_rows_of(folder))
    unmatched, absent, cells = [], [], []
    chain = hashlib.sha256()
    for existing, desired in zip(_stored(folder, "existing"), _stored(folder, "after"), strict=True):
        compared = compare(people, desired=desired, existing=existing, quarantined_keys=frozenset())
        drafted = changes_of_pairs(people, compared.pairs, recall=ledger, linked={})
        rest = residue_of(compared, drafted.doubtful)
        unmatched.append(_apart(rest[0]))  # on the road they go over the bus
        absent.append(_apart(rest[1]))
        cells.append(_written(drafted.changes, chain))
    settled = settle(
        people,
        unmatched=pl.concat(unmatched),
        absent=pl.concat(absent),
        unkeyed=absent[0].clear(),
        outside_keys=frozenset(),
        quarantined_keys=frozenset(),
        recall=ledger,
        linked={},
        elsewhere=Elsewhere(),
        may_remove=True,
        certified_runs=9,
        now=NOW,
    )
    _written(settled.changes, chain)
    verbs = [change.verb for change in settled.changes]
    # Records that were not active before they went need no suspension.
    suspended = sum(part.filter(~pl.col("active")).height for part in absent)
    return Found(creates=verbs.count("create"), removals=verbs.count("suspend") + suspended, cells=cells)


def ours_without_collector(folder: Path) -> Found:
    """The same while Python looks for no cycles of objects: there are none to be found."""
    gc.disable()
    return _plan_pages(folder)


def _written(changes: list[Change], chain: hashlib._Hash) -> pl.DataFrame:
    """Pages as bytes; what stood in them is told to be compared with the others."""
    for number, start in enumerate(range(0, len(changes), PAGE_CHANGES_MAX), start=1):
        page = PlanPage(run="r", partition=0, number=number, changes=tuple(changes[start : start + PAGE_CHANGES_MAX]))
        chain.update(hashlib.sha256(body_of_page(page)).digest())
    told = [
        (change.key, one.name, one.before, one.after)
        for change in changes
        if change.verb == "update"
        for one in change.fields
    ]
    return pl.DataFrame(told, schema=CELLS, orient="row")


CONTESTANTS: dict[str, Contest] = {
    "ours, warm": ours_warm,
    "ours, new side raw": ours_new_side_raw,
    "ours, first run": ours_first_run,
    "ours, first, batches": ours_first_run_by_batches,
    "ours, plan pages": ours_plan_pages,
    "ours, pages, no gc": ours_without_collector,
    **PEERS,
}


# --- measuring ------------------------------------------------------------------------------------------------------


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.contestant:
        print(json.dumps(asdict(_measured(options.contestant, options.folder))))
        return
    results: list[Result] = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="aether-diff-") as name:
            folder = Path(name)
            _child(["--make", str(rows), "--folder", name])
            for path in folder.iterdir():
                path.read_bytes()
            results += _table(folder, rows, options.only or list(CONTESTANTS), options.repeat)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in results], indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contestant", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        write(options.folder, options.make)
        (options.folder / "rows").write_text(str(options.make), encoding="ascii")
        sys.exit()
    return options


def _table(folder: Path, rows: int, names: list[str], repeat: int) -> list[Result]:
    print(f"\n{rows:,} rows        seconds       cpu   peak MB   creates  removals   records     cells")
    results: list[Result] = []
    for name in names:
        if (rows > PEER_ROWS_MAX and name not in LARGE) or (rows > DICTS_ROWS_MAX and name == "plain dicts"):
            continue
        runs = [_run(name, folder)]
        # Slow ones tell as much with one run.
        runs += [_run(name, folder) for _ in range(repeat - 1) if runs[0].seconds < 5]
        best = min(runs, key=lambda one: one.seconds)
        results.append(best)
        print(
            f"{name:<20}{best.seconds:>9.3f}{best.cpu_seconds:>10.3f}{best.peak_mb:>10,}{best.creates:>10,}{best.removals:>10,}"
            f"{best.records:>10,}{best.cells:>10,}",
            flush=True,
        )
        told = {(one.creates, one.removals, one.records, one.cells, one.checksum) for one in results}
        if len(told) > 1:
            raise SystemExit(f"{name} found something else than the ones before it")
    return results


def _run(name: str, folder: Path) -> Result:
    return Result(**json.loads(_child(["--contestant", name, "--folder", str(folder)])))


def _child(arguments: list[str]) -> str:
    command = [sys.executable, "-W", "ignore", "-m", "bench.diff", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MINUTES_MAX * 60, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _measured(name: str, folder: Path) -> Result:
    contest: Callable[[Path], Found] = CONTESTANTS[name]
    load(name)
    gc.collect()
    began, began_cpu = time.perf_counter(), time.process_time()
    found = contest(folder)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    cells = pl.concat(found.cells).sort("key", "field")
    text = cells.write_csv().encode()
    return Result(
        rows=_rows_of(folder),
        contestant=name,
        seconds=round(seconds, 4),
        cpu_seconds=round(cpu_seconds, 4),
        peak_mb=peak_mb,
        creates=found.creates,
        removals=found.removals,
        records=cells.get_column("key").n_unique(),
        cells=cells.height,
        checksum=hashlib.sha256(text).hexdigest(),
    )


if __name__ == "__main__":
    main()
