"""Frames of a small entity and its contract, in which a test says only what matters to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from services.differ.diff import Comparison, Partition, diff
from shared.contract.model import EntityContract, FieldContract, FromSource, Removal
from shared.plan.change import Change
from shared.ports.wire import ChangeVerb, Record, Value, WireWrite
from shared.records.batches import partition_of_keys
from shared.records.live import live_column
from tests.unit.plan.plan_builder import ENTITY, FIELDS, MASTER, TARGET

_DTYPES: dict[str, type[pl.DataType]] = {"active": pl.Boolean}
DESIRED_SCHEMA = pl.Schema({"key": pl.String} | {name: _DTYPES.get(name, pl.String) for name in FIELDS})
EXISTING_SCHEMA = pl.Schema(
    {"key": pl.String, "target_id": pl.String}
    | {name: _DTYPES.get(name, pl.String) for name in FIELDS}
    | {live_column(name): _DTYPES.get(name, pl.String) for name in FIELDS}
)

Row = Mapping[str, Value]


class SmallWire:
    """Writes whose bodies are the canonical values themselves."""

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        path = f"/{entity}" if target_id is None else f"/{entity}/{target_id}"
        method = {"create": "POST", "delete": "DELETE"}.get(verb, "PATCH")
        return WireWrite(method, path, None if verb == "delete" else dict(values))


def contract(
    *, ladder: str = "suspend", correlate: Sequence[str] = ("email",), **fields: dict[str, Any]
) -> EntityContract:
    """The small contract; keyword arguments alter single fields."""
    plain: dict[str, dict[str, Any]] = {
        "external_id": {"from": ["person.id"], "required": True},
        "first_name": {"from": ["person.first"]},
        "email": {"from": ["person.email"], "is_rename": True},
        "role": {"from": ["person.role"], "is_role": True},
        "active": {"constant": True, "format": "boolean"},
    }
    removal = {"ladder": ladder, "suspended": {"active": False} if ladder == "suspend" else {}}
    return EntityContract.model_validate(
        {
            "from": FromSource(source="person"),
            "key": "external_id",
            "correlate": tuple(correlate),
            "fields": {
                name: FieldContract.model_validate({**one, **fields.get(name, {})}) for name, one in plain.items()
            },
            "removal": Removal.model_validate(removal),
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


def compare(
    wanted: Iterable[Row],
    live: Iterable[Row],
    *,
    under: EntityContract | None = None,
    quarantined: Iterable[str] = (),
    may_remove: bool = True,
    partitions: int = 1,
) -> list[Comparison]:
    """The comparisons of all partitions."""
    wanted_frame, live_frame = desired(wanted), existing(live)
    parts = []
    for number in range(partitions):
        keyed = live_frame.filter(pl.col("key").is_not_null())
        parts.append(
            diff(
                Partition(
                    target=TARGET,
                    entity=ENTITY,
                    contract=under or contract(),
                    desired=wanted_frame.filter(
                        partition_of_keys(wanted_frame.get_column("key"), partitions) == number
                    ),
                    existing=keyed.filter(partition_of_keys(keyed.get_column("key"), partitions) == number),
                    unkeyed=live_frame.filter(pl.col("key").is_null()),
                    quarantined_keys=frozenset(quarantined),
                    may_remove=may_remove,
                    commitment_master=MASTER,
                ),
                SmallWire(),
            )
        )
    return parts


def changes_of(parts: Iterable[Comparison]) -> list[Change]:
    """The changes of all partitions in change-id order."""
    return sorted((change for part in parts for change in part.changes), key=lambda change: change.change_id)
