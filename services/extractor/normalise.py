"""Raw rows into canonical records: which rows count, what each field's value is, and which records cannot go on.

Pure, and over whole columns: the same rows and the same contract give the same records, in any order of rows. It never
decides what to change; a record that it quarantines is *unknown*, and its key is handed on so that nobody takes it for
absent. It stands on the road between the certified pages of the extractor and the partitions of the differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from services.extractor.fields import FAULT, FROM, LOST, RAW, UNMAPPED, VALUE, comparable, with_field
from services.extractor.gathering import gather, require_columns
from shared.contract.columnar import as_text
from shared.contract.loading import MappingTable
from shared.contract.model import EntityContract
from shared.errors import StopRun

QUARANTINE_SCHEMA = pl.Schema(
    {
        "key": pl.String,  # null where the record has none
        "source": pl.String,  # alias of the source that gave the value; `target` on the target side
        "field": pl.String,
        "code": pl.String,  # of the catalogue of failures
        "value_class": pl.String,  # `blank` or `text(12)`; never the value
        "rule": pl.String,  # the clause of the contract that was not met
    }
)
IDS_SHOWN_MAX = 20
"""Ids that a refusal lists; the count says how many there are."""
_REPEATED = "is repeated"


@dataclass(frozen=True)
class Unmapped:
    """An id that a mapping table does not hold."""

    table: str
    raw_id: str
    """The id after the field's steps."""
    rows: int
    """Records in scope that have it."""


@dataclass(frozen=True)
class Discarded:
    """Values of one field that were dropped because of their form, as the contract asks."""

    field: str
    code: str
    rows: int


@dataclass(frozen=True)
class Normalised:
    """What became of the rows of one side: each record is in `records`, in `quarantined` or counted as out of scope."""

    records: pl.DataFrame
    """`key`, on the target side `target_id`, then the contract's fields in contract order; ordered by key."""
    quarantined: pl.DataFrame
    """One row for each clause that a record did not meet; columns of `QUARANTINE_SCHEMA`. A record may have several."""
    unmapped: tuple[Unmapped, ...]
    """By table, then most rows first; ids with a default are listed too."""
    discarded: tuple[Discarded, ...]
    """By field; nothing is dropped in silence."""
    out_of_scope: int
    """Records that the contract's scope leaves out."""
    rows_read: Mapping[str, int]
    """Rows as read, by alias; `target` on the target side."""

    @property
    def quarantined_keys(self) -> pl.Series:
        """Keys of which nothing is known in this run, each once, in order: never absent, never changed."""
        return self.quarantined.get_column("key").drop_nulls().unique().sort()

    @property
    def quarantined_without_key(self) -> int:
        """Items that may concern any key at all, because the row has none."""
        return self.quarantined.get_column("key").null_count()


def normalise_desired(
    contract: EntityContract, tables: Mapping[str, MappingTable], frames: Mapping[str, pl.DataFrame]
) -> Normalised:
    """The desired records of one entity from the rows of its sources, by alias.

    `StopRun` when a column that the contract uses is missing (`NRM_SCHEMA_DRIFT`), or an id that must be mapped is not
    (`NRM_BLOCKED_UNMAPPED`).
    """
    gathered = gather(contract, frames)
    rows = gathered.rows
    for name, field in contract.fields.items():
        rows = with_field(rows, name, field, key=contract.key, tables=tables)
    unmapped = _unmapped(contract, rows)
    _refuse_blocked(contract, rows)
    rows = rows.with_columns(pl.col(VALUE + contract.key).alias("key"))
    rows = rows.with_columns((pl.col("key").is_not_null() & pl.col("key").is_duplicated()).alias(_REPEATED))
    is_sound = ~pl.col(_REPEATED) & pl.all_horizontal(pl.col(FAULT + name).is_null() for name in contract.fields)
    records = rows.filter(is_sound).select("key", *(pl.col(VALUE + name).alias(name) for name in contract.fields))
    return Normalised(
        records=records.sort("key"),
        quarantined=_quarantined(contract, rows.filter(~is_sound), keyless=gathered.keyless),
        unmapped=unmapped,
        discarded=_discarded(contract, rows),
        out_of_scope=gathered.out_of_scope,
        rows_read=gathered.rows_read,
    )


def normalise_existing(contract: EntityContract, frame: pl.DataFrame) -> Normalised:
    """The existing records of one entity from the target's rows, in the spelling that desired values have.

    Equal meanings come out equal. A value that has not the field's form stays as it is, so that it differs from every
    desired one. A record without key keeps a null key: it is nobody's until it is adopted. Records that share a key
    are quarantined. `StopRun` NRM_SCHEMA_DRIFT when a column is missing.
    """
    require_columns("target", frame.columns, ("target_id", *contract.fields))
    rows = frame.select(
        pl.col("target_id").cast(pl.String),
        *(
            comparable(as_text(pl.col(name), frame.schema[name]), field).alias(name)
            for name, field in contract.fields.items()
        ),
    ).with_columns(pl.col(contract.key).alias("key"))
    is_repeated = pl.col("key").is_not_null() & pl.col("key").is_duplicated()
    items = rows.filter(is_repeated).select(
        *_item_columns(pl.lit("target"), contract.key, pl.lit("MAT_DUPLICATE_KEY"), pl.col("key"), rule="key is unique")
    )
    return Normalised(
        records=rows.filter(~is_repeated)
        .select("key", "target_id", *contract.fields)
        .sort("key", "target_id", nulls_last=True),
        quarantined=_ordered_items([items]),
        unmapped=(),
        discarded=(),
        out_of_scope=0,
        rows_read={"target": frame.height},
    )


def _quarantined(contract: EntityContract, rows: pl.DataFrame, *, keyless: int) -> pl.DataFrame:
    items = [_keyless_items(contract, keyless)]
    for name, field in contract.fields.items():
        rules = {
            "NRM_BAD_FORMAT": f"format: {field.format}",
            "NRM_UNMAPPED": f"map: {field.map}",
            "NRM_MISSING_REQUIRED": "required",
            "NRM_MISSING_KEY": "key",
        }
        for code, rule in rules.items():
            faulty = rows.filter(pl.col(FAULT + name) == code)
            items.append(
                faulty.select(*_item_columns(pl.col(FROM + name), name, pl.lit(code), pl.col(RAW + name), rule=rule))
            )
    repeated = rows.filter(pl.col(_REPEATED))
    origin = pl.lit(contract.origin.source)
    items.append(
        repeated.select(
            *_item_columns(
                origin, contract.key, pl.lit("MAT_DUPLICATE_KEY"), pl.col(RAW + contract.key), rule="key is unique"
            )
        )
    )
    return _ordered_items(items)


def _keyless_items(contract: EntityContract, count: int) -> pl.DataFrame:
    """An item for each row that belongs to nobody, because the column to pick by is blank."""
    pick = contract.origin.pick
    column = "" if pick is None else pick.by.column
    item = (None, contract.origin.source, contract.key, "NRM_MISSING_KEY", "blank", f"pick by {column}")
    return pl.DataFrame([item] * count, schema=QUARANTINE_SCHEMA, orient="row")


def _item_columns(source: pl.Expr, field: str, code: pl.Expr, raw: pl.Expr, *, rule: str) -> list[pl.Expr]:
    value_class = (
        pl.when(raw.is_null())
        .then(pl.lit("blank"))
        .otherwise(pl.concat_str(pl.lit("text("), raw.str.len_chars().cast(pl.String), pl.lit(")")))
    )
    return [
        pl.col("key"),
        source.alias("source"),
        pl.lit(field).alias("field"),
        code.alias("code"),
        value_class.alias("value_class"),
        pl.lit(rule).alias("rule"),
    ]


def _ordered_items(items: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([item.cast(QUARANTINE_SCHEMA) for item in items]).sort(QUARANTINE_SCHEMA.names(), nulls_last=True)


def _unmapped(contract: EntityContract, rows: pl.DataFrame) -> tuple[Unmapped, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for name, field in contract.fields.items():
        if field.map is not None:
            counted = rows.get_column(UNMAPPED + name).drop_nulls().value_counts(name="rows")
            counts.update({(field.map, raw_id): count for raw_id, count in counted.iter_rows()})
    ranked = sorted(counts.items(), key=lambda entry: (entry[0][0], -entry[1], entry[0][1]))
    return tuple(Unmapped(table, raw_id, count) for (table, raw_id), count in ranked)


def _refuse_blocked(contract: EntityContract, rows: pl.DataFrame) -> None:
    for name, field in contract.fields.items():
        ids = rows.get_column(UNMAPPED + name).drop_nulls()
        if field.unmapped == "block" and ids.len():
            distinct = ids.unique().sort().to_list()
            shown = ", ".join(distinct[:IDS_SHOWN_MAX]) + (" …" if len(distinct) > IDS_SHOWN_MAX else "")
            raise StopRun(
                "NRM_BLOCKED_UNMAPPED",
                f"field {name}: {ids.len()} records have {len(distinct)} ids that table {field.map} does not hold, "
                f"allowed none: {shown}; add them to tables/{field.map}.csv and release the connector",
                table=field.map,
                rows=ids.len(),
            )


def _discarded(contract: EntityContract, rows: pl.DataFrame) -> tuple[Discarded, ...]:
    counts = {name: int(rows.get_column(LOST + name).sum()) for name in contract.fields}
    return tuple(Discarded(name, "NRM_BAD_FORMAT", count) for name, count in counts.items() if count)
