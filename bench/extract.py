"""One side of a large entity from pages to messages, without bus or network: seconds of each step and peak memory.

`python -m bench.extract [--rows 1000000] [--side source|target] [--batch-rows 65536] [--json FILE]` makes pages of 500
people as a system would give them (25 columns, an assignment for each, one in fifty faulty, one in a thousand twice)
while they are read, and runs the extractor's own steps over them. What is measured is the process itself: no page is
kept before it is asked for, and messages are counted and thrown away.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import resource
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from services.extractor.normalise import Rules
from services.extractor.one_entity import Systems
from services.extractor.pipeline import SideInWork
from services.extractor.reading import TARGET, read_source, read_target
from services.extractor.spill import BATCH_ROWS, SpillFile
from shared.clock import SystemClock
from shared.contract.loading import Connector
from shared.contract.model import ConnectorDefinition
from shared.ports.connections import Connection, Connections
from shared.ports.registry import Registry
from shared.ports.system import Column, ExpectedRows, Finding, Page, Source

PAGE_ROWS = 500
PLAIN = tuple(f"note{number}" for number in range(1, 16))
"""Columns that are taken over as they are."""
COLUMNS = ("id", "last", "first", "email", "mobile", "status", "hired", "site", "title", *PLAIN)
STEPS = ["trim", "collapse_whitespace", "nfc"]
CONTRACT: dict[str, Any] = {
    "from": {
        "source": "person",
        "pick": {"by": {"column": "id", "steps": ["trim", "upper"]}, "order": [{"column": "hired"}]},
    },
    "joins": [
        {
            "source": "job",
            "on": {
                "left": {"column": "person.id", "steps": ["trim", "upper"]},
                "right": {"column": "who", "steps": ["trim", "upper"]},
            },
            "order": [{"column": "since", "direction": "desc"}],
        }
    ],
    "scope": [{"column": "person.status", "in": ["A", "L"]}],
    "key": "external_id",
    "fields": {
        "external_id": {"from": ["person.id"], "steps": ["trim", "upper"], "required": True},
        "last": {"from": ["person.last"], "steps": STEPS, "required": True},
        "first": {"from": ["person.first"], "steps": STEPS, "required": True},
        "email": {"from": ["person.email"], "steps": ["trim", "lower"], "format": "email"},
        "mobile": {
            "from": ["person.mobile"],
            "steps": ["digits", "strip_country_code"],
            "format": "e164",
            "on_invalid": "discard_value",
        },
        "hired": {"from": ["person.hired"], "format": "date"},
        "site": {"from": ["person.site"], "steps": ["trim"]},
        "title": {"from": ["person.title"], "steps": STEPS},
        "role": {"from": ["job.role"], "steps": ["trim", "upper"]},
        "active": {"constant": True, "format": "boolean"},
        **{name: {"from": [f"person.{name}"], "steps": ["trim"]} for name in PLAIN},
    },
}
DEFINITION = ConnectorDefinition.model_validate(
    {
        "schema_version": 1,
        "name": "bench",
        "version": "1.0.0",
        "title": "People who are made up",
        "lifecycle": "draft",
        "target": {"system": "made_up", "connection": "made"},
        "sources": {
            "person": {"system": "made_up", "connection": "made", "entity": "person"},
            "job": {"system": "made_up", "connection": "made", "entity": "job"},
        },
        "entities": {"contact": CONTRACT},
    }
)
CONNECTOR = Connector(definition=DEFINITION, tables={}, digest="sha256:0")


@dataclass
class MadeUp(Registry):
    """Systems that make their pages up as they are asked for."""

    rows: int

    def open_source(self, connection: Connection) -> Source:
        """A source of people."""
        return _People(self.rows)


@dataclass
class _People:
    rows: int

    def columns(self, entity: str) -> Sequence[Column]:
        return [Column(name, "boolean" if name == "active" else "text") for name in page_of(entity, 0, 1).columns]

    def read(self, entity: str) -> _Reading:
        return _Reading(self.rows, entity)

    async def check(self) -> Sequence[Finding]:
        return []

    async def close(self) -> None:
        return


@dataclass
class _Reading:
    rows: int
    entity: str

    async def __aiter__(self) -> AsyncIterator[Page]:
        # Pages are cut from larger frames: making them is not what is measured.
        number = 0
        for first in range(0, self.rows, 20 * PAGE_ROWS):
            made = page_of(self.entity, first, min(20 * PAGE_ROWS, self.rows - first))
            for rows in made.iter_slices(PAGE_ROWS):
                number += 1
                digest = hashlib.sha256(f"{self.entity}{number}".encode()).hexdigest()
                yield Page(number, rows, str(first), str(first + rows.height), digest)
                await asyncio.sleep(0)

    @property
    def expected(self) -> ExpectedRows:
        return ExpectedRows(self.rows, "made up")


def page_of(entity: str, first: int, rows: int) -> pl.DataFrame:
    """Synthetic rows; the same for the same number."""
    number = pl.int_range(first, first + rows, eager=True).alias("n").to_frame()
    n = pl.col("n")
    # One in a thousand has the number of the one before, in another spelling.
    person = pl.when(n % 1000 == 999).then(n - 1).otherwise(n)
    name = pl.format("{} Sample{}", pl.when(n % 3 == 0).then(pl.lit("Ana ")).otherwise(pl.lit("Ben")), n % 4001)
    if entity == "job":
        role = pl.when(n % 7 == 0).then(pl.lit(" teacher")).otherwise(pl.lit("CLERK"))
        return number.select(pl.format("e{}", n).alias("who"), role.alias("role"), pl.lit("2020-01-01").alias("since"))
    if entity == "contact":
        plain = [pl.format("{} value {}", pl.lit(note), n % 997).alias(note) for note in PLAIN]
        return number.select(
            pl.format("t{}", n).alias("target_id"),
            pl.format("E{}", n).alias("external_id"),
            *(name.alias(field_name) for field_name in ("last", "first", "title")),
            pl.format("person{}@example.org", n).alias("email"),
            pl.format("+1714555{}", (n % 10_000) + 10_000).alias("mobile"),
            pl.lit("2020-08-01").alias("hired"),
            pl.format("{}", n % 60).alias("site"),
            pl.lit("TEACHER").alias("role"),
            pl.lit(value=True).alias("active"),
            *plain,
        )
    return number.select(
        pl.format(" e{}", person).alias("id"),
        name.alias("last"),
        pl.format("  {}", name).alias("first"),
        pl.when(n % 50 == 0).then(pl.lit("none")).otherwise(pl.format("Person{}@Example.org ", n)).alias("email"),
        pl.format("(714) 555-{}", (n % 9_000) + 1_000).alias("mobile"),
        pl.when(n % 20 == 0).then(pl.lit("I")).otherwise(pl.lit("A")).alias("status"),
        pl.lit("2020-08-01").alias("hired"),
        pl.format("{} ", n % 60).alias("site"),
        name.alias("title"),
        *(pl.format("{} value {}", pl.lit(note), n % 997).alias(note) for note in PLAIN),
    )


@dataclass
class Measured:
    """What one side took."""

    side: str
    rows: int
    batch_rows: int
    records: int = 0
    quarantined: int = 0
    messages: int = 0
    message_mb: float = 0
    spilled_mb: float = 0
    peak_mb: int = 0
    start_mb: int = 0
    """Peak before the first page: interpreter and libraries."""
    seconds: dict[str, float] = field(default_factory=dict)


async def measured(side: str, rows: int, *, batch_rows: int) -> Measured:
    """Run one side through all steps."""
    found = Measured(side, rows, batch_rows, start_mb=_peak_mb())
    connection = Connection(name="made", system="made_up", environment="staging")
    systems = Systems(Connections(connections={"made": connection}), MadeUp(rows), SystemClock())
    with SpillFile() as file:
        began = time.perf_counter()
        read = read_source if side == "source" else read_target
        got = await read(CONNECTOR, "contact", systems, file)
        if got.proof.incomplete is not None:
            raise SystemExit(f"no certificate: {got.proof.incomplete.text}")
        found.seconds["read"] = time.perf_counter() - began
        began = time.perf_counter()
        contract = DEFINITION.entities["contact"]
        work = SideInWork(contract, partitions=DEFINITION.partitions, file=file, batch_rows=batch_rows)
        if side == "source":
            work.take_desired(got.shelves, Rules(declared=got.declared, shapes=got.schemas))
        else:
            work.take_existing(got.shelves[TARGET])
        found.seconds["normalise"] = time.perf_counter() - began
        began = time.perf_counter()
        for batch in work.batches():
            found.messages += 1
            found.message_mb += len(batch.message) / 1e6
        found.seconds["messages"] = time.perf_counter() - began
        counts = work.counts()
        found.records, found.quarantined = counts.records, counts.quarantined
        found.spilled_mb = file.written_bytes / 1e6
    found.peak_mb = _peak_mb()
    return found


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--side", choices=("source", "target"), default="source")
    parser.add_argument("--batch-rows", type=int, default=BATCH_ROWS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = asyncio.run(measured(options.side, options.rows, batch_rows=options.batch_rows))
    print(f"{found.side}: {found.rows:,} people, batches of {found.batch_rows:,} rows")
    for step, seconds in found.seconds.items():
        print(f"  {step:<12}{seconds:>9.2f} s")
    print(f"  records     {found.records:>9,}   quarantined {found.quarantined:,}")
    print(f"  messages    {found.messages:>9,}   {found.message_mb:.0f} MB, spilled {found.spilled_mb:.0f} MB")
    print(f"  peak memory {found.peak_mb:>9,} MB (before the first page {found.start_mb} MB)")
    if options.json:
        options.json.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
