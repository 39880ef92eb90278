"""Whether the rows still have the shape that was agreed, and what the contract wants done where they have not.

Pure. Decided before any value is looked at: columns that are gone, columns of another type, new columns. Values outside
an enum are found while normalising; they are noted in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from services.extractor.gathering import columns_of_field, structural_columns
from services.extractor.rules import Kind
from shared.contract.field import FieldContract
from shared.contract.model import EntityContract
from shared.errors import StopRun

What = Literal["missing", "type", "new", "value"]
_FINDS = {"missing": "NRM_SCHEMA_DRIFT", "type": "NRM_TYPE_CHANGED"}


@dataclass(frozen=True)
class DriftNote:
    """One thing that is not as agreed."""

    alias: str
    column: str
    """The column concerned; for a value outside an enum the field's first column."""
    what: What
    """`missing`, another `type`, a `new` column that nobody asked for, or a `value` outside the enum."""
    policy: str
    """What was done: the field's drift policy, or `ignore` for a new column."""
    field: str | None = None
    """The field under which it was found; None for a new column and for columns that decide which rows count."""
    rows: int = 0
    """Records concerned."""
    detail: str = ""
    """For a type: what was declared and what came."""


@dataclass(frozen=True)
class Drift:
    """What is not as agreed in the shape of the rows."""

    notes: tuple[DriftNote, ...] = ()

    def affecting(self, field: str) -> DriftNote | None:
        """The note that takes the field's value away, if there is one."""
        for note in self.notes:
            if note.field == field and note.policy in {"discard_value", "discard_row"}:
                return note
        return None

    @property
    def missing(self) -> frozenset[tuple[str, str]]:
        """Columns, as alias and name, that are gone."""
        return frozenset((note.alias, note.column) for note in self.notes if note.what == "missing")


def code_of(note: DriftNote) -> str:
    """The code of what a note says about a record."""
    return _FINDS.get(note.what, "NRM_UNKNOWN_VALUE")


def drift_of(
    contract: EntityContract, shapes: Mapping[str, pl.Schema], declared: Mapping[str, Mapping[str, Kind]]
) -> Drift:
    """What is not as agreed, with the policy of each field concerned."""
    notes: list[DriftNote] = []
    for alias, column in structural_columns(contract):
        notes += _notes(alias, column, shapes, declared, field=None, gone="freeze", changed="freeze")
    for name, field in contract.fields.items():
        gone = "freeze" if field.required or name == contract.key else field.drift
        for alias, column in columns_of_field(field):
            notes += _notes(alias, column, shapes, declared, field=name, gone=gone, changed=field.drift)
    for alias in shapes:
        new = [column for column in shapes[alias] if column not in declared.get(alias, shapes[alias])]
        notes += [DriftNote(alias, column, "new", "ignore") for column in new]
    return Drift(tuple(notes))


def refuse_drift(drift: Drift) -> None:
    """`StopRun` NRM_SCHEMA_DRIFT naming every column whose drift the contract does not allow."""
    frozen = [note for note in drift.notes if note.policy == "freeze"]
    refused = [
        (f"columns that the contract uses {said}: {listed}", listed)
        for what, said in (("missing", "are missing"), ("type", "have another type"))
        if (listed := _listed(note for note in frozen if note.what == what))
    ]
    if refused:
        raise StopRun(
            "NRM_SCHEMA_DRIFT",
            f"{'; '.join(text for text, _ in refused)}; restore them in the source or release a new contract",
            columns="; ".join(listed for _, listed in refused),
        )


def first_column(field: FieldContract) -> tuple[str, str]:
    """Alias and name of the column that a field names first; empty texts when it names none."""
    return next(iter(columns_of_field(field)), ("", ""))


def _notes(
    alias: str,
    column: str,
    shapes: Mapping[str, pl.Schema],
    declared: Mapping[str, Mapping[str, Kind]],
    *,
    field: str | None,
    gone: str,
    changed: str,
) -> list[DriftNote]:
    dtype = shapes[alias].get(column)
    if dtype is None:
        return [DriftNote(alias, column, "missing", gone, field)]
    kind = declared.get(alias, {}).get(column)
    if kind is None or _is_of_kind(dtype, kind):
        return []
    return [DriftNote(alias, column, "type", changed, field, detail=f"declared {kind}, came as {dtype}")]


def _is_of_kind(dtype: pl.DataType, kind: Kind) -> bool:
    """Whether a column of that type can hold values of that kind; dates and decimals are delivered as text."""
    if dtype == pl.Null:
        return True
    match kind:
        case "integer":
            return dtype.is_integer()
        case "boolean":
            return dtype == pl.Boolean
        case "decimal":
            return dtype == pl.String or dtype.is_numeric()
        case "date" | "datetime":
            return dtype == pl.String or dtype.is_temporal()
        case _:
            return dtype == pl.String


def _listed(notes: Iterable[DriftNote]) -> str:
    """`alias: column, column; alias: column`, each column once."""
    columns: dict[str, dict[str, None]] = {}
    for note in notes:
        shown = f"{note.column} ({note.detail})" if note.detail else note.column
        columns.setdefault(note.alias, {})[shown] = None
    return "; ".join(f"{alias}: {', '.join(names)}" for alias, names in columns.items())
