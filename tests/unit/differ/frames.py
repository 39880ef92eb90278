"""Frames of a small entity and its contract, and both stages of the differ over them, in which a test says only what
matters to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from services.differ.comparing import (
    NOTHING_PROTECTED,
    Compared,
    DeclarationOf,
    DraftedPairs,
    Elsewhere,
    Entity,
    Memory,
    Protection,
    Recall,
    Settled,
    Waves,
)
from services.differ.diff import changes_of_pairs, compare, residue_of
from services.differ.settling import doubts, settle
from shared.contract.model import EntityContract, FieldContract, FromSource, Membership, Removal
from shared.plan.change import Aside, Change
from shared.ports.wire import ChangeVerb, Record, Value, WireWrite
from shared.records.batches import partition_of_keys
from shared.records.hashes import compared_fields, with_hashes
from shared.records.live import live_column
from tests.unit.plan.plan_builder import ENTITY, FIELDS, MASTER, NOW, TARGET

_DTYPES: dict[str, type[pl.DataType]] = {"active": pl.Boolean}
DESIRED_SCHEMA = pl.Schema(
    {"key": pl.String} | {name: _DTYPES.get(name, pl.String) for name in FIELDS} | {"left alone": pl.String}
)
EXISTING_SCHEMA = pl.Schema(
    {"key": pl.String, "target_id": pl.String}
    | {name: _DTYPES.get(name, pl.String) for name in FIELDS}
    | {live_column(name): _DTYPES.get(name, pl.String) for name in FIELDS}
)
WAVES = Waves(constructive=1, destructive=2)
LONG_AGO = NOW - timedelta(days=3)

Row = Mapping[str, Value]


class SmallWire:
    """Writes whose bodies are the canonical values themselves."""

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        if verb == "delete" and values:
            raise ValueError(f"a delete takes no values, got {sorted(values)}")
        path = f"/{entity}" if target_id is None else f"/{entity}/{target_id}"
        method = {"create": "POST", "delete": "DELETE"}.get(verb, "PATCH")
        return WireWrite(method, path, None if verb == "delete" else dict(values))


def contract(
    *,
    ladder: str = "suspend",
    correlate: Sequence[str] = ("email",),
    removal: Mapping[str, Any] | None = None,
    cohort: Sequence[str] = (),
    membership: Membership | None = None,
    **fields: dict[str, Any],
) -> EntityContract:
    """The small contract; keyword arguments alter single fields."""
    plain: dict[str, dict[str, Any]] = {
        "external_id": {"from": ["person.id"], "required": True},
        "first_name": {"from": ["person.first"]},
        "email": {"from": ["person.email"], "is_rename": True},
        "role": {"from": ["person.role"], "is_role": True},
        "active": {"constant": True, "format": "boolean"},
    }
    suspended = {"active": False} if ladder != "preserve" and membership is None else {}
    return EntityContract.model_validate(
        {
            "from": FromSource(source="person"),
            "key": "external_id",
            "correlate": tuple(correlate),
            "fields": {
                name: FieldContract.model_validate({**one, **fields.get(name, {})}) for name, one in plain.items()
            },
            "removal": Removal.model_validate({"ladder": ladder, "suspended": suspended, **(removal or {})}),
            "cohort": tuple(cohort),
            "membership": membership,
        }
    )


def desired(rows: Iterable[Row]) -> pl.DataFrame:
    return pl.DataFrame([{"key": row["external_id"], **row} for row in rows], schema=DESIRED_SCHEMA)


def existing(rows: Iterable[Row]) -> pl.DataFrame:
    """Records as the target showed them; a key `shown <field>` gives a live spelling that differs."""
    made = []
    for row in rows:
        plain = {name: value for name, value in row.items() if not name.startswith("shown ")}
        live = {live_column(name): row.get(f"shown {name}", row[name]) for name in FIELDS}
        made.append({"key": row["external_id"], **plain, **live})
    return pl.DataFrame(made, schema=EXISTING_SCHEMA)


def want(number: int, **fields: Value) -> dict[str, Value]:
    """A desired record equal to what `plan_builder.record` shows."""
    return {
        "external_id": f"E{number}",
        "first_name": f"Name{number}",
        "email": f"p{number}@example.org",
        "role": "TEACHER",
        "active": True,
        **fields,
    }


def entity_of(
    under: EntityContract | None = None,
    *,
    protected: Protection = NOTHING_PROTECTED,
    clause_digests: Mapping[str, str] | None = None,
    declaration_of: DeclarationOf | None = None,
    write_companions: tuple[str, ...] = (),
) -> Entity:
    return Entity(
        target=TARGET,
        name=ENTITY,
        contract=under or contract(),
        waves=WAVES,
        wire=SmallWire(),
        commitment_master=MASTER,
        protected=protected,
        clause_digests=clause_digests or {},
        declaration_of=declaration_of,
        write_companions=write_companions,
    )


@dataclass(frozen=True)
class Outcome:
    """Both stages over all partitions."""

    compared: list[Compared]
    pairs: list[DraftedPairs]
    settled: Settled

    @property
    def changes(self) -> list[Change]:
        """In change-id order."""
        drafted = [*self.pairs, self.settled]
        return sorted((change for one in drafted for change in one.changes), key=lambda change: change.change_id)

    @property
    def aside(self) -> list[Aside]:
        drafted = [*self.pairs, self.settled]
        found = [aside for one in drafted for aside in one.aside]
        return sorted(found, key=lambda one: (one.key, one.change_class, one.code, one.target_id or ""))

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """Key, class and code of what was left out."""
        return [(one.key, one.change_class.value, one.code) for one in self.aside]

    @property
    def by_class(self) -> dict[str, int]:
        counted: dict[str, int] = {}
        for change in self.changes:
            counted[change.change_class.value] = counted.get(change.change_class.value, 0) + 1
        return counted

    @property
    def ambiguous_keys(self) -> list[str]:
        return sorted([*self.settled.ambiguous_keys, *(key for one in self.compared for key in one.contested)])

    def total(self, name: str) -> int:
        """A figure of stage one over all partitions."""
        return sum(int(getattr(one, name)) for one in self.compared)


def remembering(*memories: Memory) -> dict[str, Memory]:
    return {memory.key: memory for memory in memories}


def missed_before(*numbers: int, strikes: int = 1, at: datetime = LONG_AGO) -> dict[str, Memory]:
    """Memories of records that were missed once, long enough ago."""
    return remembering(*(Memory(f"E{n}", strikes=strikes, last_strike_at=at) for n in numbers))


def run(
    wanted: Iterable[Row],
    live: Iterable[Row],
    *,
    entity: Entity | None = None,
    under: EntityContract | None = None,
    quarantined: Iterable[str] = (),
    outside: Iterable[str] = (),
    recall: Recall | None = None,
    linked: Mapping[str, str] | None = None,
    may_remove: bool = True,
    certified_runs: int = 2,
    now: datetime = NOW,
    partitions: int = 1,
    is_hashed: bool = True,
) -> Outcome:
    """Both stages; what `doubts` asks for is answered from the frames, as a handler answers it from the snapshots."""
    entity = entity or entity_of(under)
    recall = recall or {}
    if linked is None:
        linked = {memory.target_id: memory.key for memory in recall.values() if memory.target_id is not None}
    wanted_frame, live_frame = desired(wanted), existing(live)
    keyed = live_frame.filter(pl.col("key").is_not_null())
    fields = compared_fields(entity.contract)
    compared: list[Compared] = []
    pairs: list[DraftedPairs] = []
    unmatched: list[pl.DataFrame] = []
    absent: list[pl.DataFrame] = []
    for number in range(partitions):
        ours, theirs = (_part(side, number, partitions) for side in (wanted_frame, keyed))
        part = compare(
            entity,
            desired=with_hashes(ours, fields).sort("key hash") if is_hashed else ours,
            existing=with_hashes(theirs, fields).sort("key hash") if is_hashed else theirs,
            quarantined_keys=frozenset(quarantined),
        )
        drafted = changes_of_pairs(entity, part.pairs, recall=recall, linked=linked)
        rest = residue_of(part, drafted.doubtful)
        compared.append(part)
        pairs.append(drafted)
        unmatched.append(rest[0])
        absent.append(rest[1])
    residue = {
        "unmatched": pl.concat(unmatched),
        "absent": pl.concat(absent),
        "unkeyed": live_frame.filter(pl.col("key").is_null()),
    }
    asked = doubts(**residue, recall=recall, linked=linked)
    settled = settle(
        entity,
        **residue,
        outside_keys=frozenset(outside),
        quarantined_keys=frozenset(quarantined),
        recall=recall,
        linked=linked,
        elsewhere=Elsewhere(
            target_ids=asked.target_ids & frozenset(live_frame.get_column("target_id")),
            keys=asked.keys & frozenset(wanted_frame.get_column("key")),
        ),
        may_remove=may_remove,
        certified_runs=certified_runs,
        now=now,
    )
    return Outcome(compared, pairs, settled)


def _part(frame: pl.DataFrame, number: int, partitions: int) -> pl.DataFrame:
    return frame.filter(partition_of_keys(frame.get_column("key"), partitions) == number)
