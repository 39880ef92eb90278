"""Quarantine items: one for each clause that a record did not meet, without the value; and the keys claimed twice.

Pure. Records with one key are unknown all together: none of them is chosen. That is decided once all records of a key
are at hand, so faulty records leave a *claim* on their key (an item without code) until then.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from services.extractor.judgement import Judged
from shared.contract.columnar import blank_to_null
from shared.contract.model import EntityContract

QUARANTINE_SCHEMA = pl.Schema(
    {
        "key": pl.String,  # null where the record has none
        "source": pl.String,  # alias of the source that gave the value; `target` on the target side
        "field": pl.String,
        "code": pl.String,  # of the catalogue of failures; null for a claim, until keys are settled
        "value_class": pl.String,  # `blank` or `text(12)`; never the value
        "rule": pl.String,  # the clause of the contract that was not met
    }
)
TARGET = "target"
_KEY_RULE = "key is unique"


def settle_duplicates(
    records: pl.DataFrame, quarantined: pl.DataFrame, *, contract: EntityContract
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The records whose key nobody else claims, ordered by key, and the items of all others, in order.

    Both frames hold everything of the same keys: a partition by key, or all. Records without key are no duplicates;
    further columns of the records stay as they are. Settling what is settled changes nothing. The records are those of
    the target side when they have a `target_id`.
    """
    is_target = "target_id" in records.columns
    claims = quarantined.filter(pl.col("code").is_null())
    claimed = pl.concat([records.get_column("key"), claims.get_column("key")]).drop_nulls()
    repeated = claimed.filter(claimed.is_duplicated()).unique()
    refused = quarantined.filter(pl.col("code") == "MAT_DUPLICATE_KEY").get_column("key").unique()
    repeated = pl.concat([repeated, refused]).unique().implode()
    is_repeated = pl.col("key").is_not_null() & pl.col("key").is_in(repeated).fill_null(value=False)
    items = records.filter(is_repeated).select(
        _item_columns(
            pl.lit(TARGET if is_target else contract.origin.source),
            contract.key,
            pl.lit("MAT_DUPLICATE_KEY"),
            pl.col("key"),
            rule=pl.lit(_KEY_RULE),
        )
    )
    judged = claims.filter(is_repeated).with_columns(pl.lit("MAT_DUPLICATE_KEY").alias("code"))
    order = ["key", "target_id"] if is_target else ["key"]
    return (
        records.filter(~is_repeated).sort(order, nulls_last=True),
        in_order([quarantined.filter(pl.col("code").is_not_null()), items, judged]),
    )


def field_items(rows: pl.DataFrame, judged: Judged) -> pl.DataFrame | None:
    """The items of one field; None when it has no fault. `rows` are the gathered rows with their `key`."""
    if judged.fault is None:
        return None
    field, is_faulty = judged.clause.field, judged.fault.is_not_null()
    faulty = rows.filter(is_faulty)
    faulty = faulty.with_columns(
        judged.alias(faulty).alias("alias "),
        judged.fault.filter(is_faulty).alias("fault "),
        judged.text.filter(is_faulty).alias("text "),
    )
    rules = {
        "NRM_BAD_FORMAT": f"format: {field.format}",
        "NRM_UNMAPPED": f"map: {field.map}",
        "NRM_LOOKUP": "" if field.lookup is None else f"lookup: {field.lookup.entity}.{field.lookup.by}",
        "NRM_UNKNOWN_VALUE": "values",
        "NRM_TRANSFORM": "python",
        "NRM_SCHEMA_DRIFT": f"drift: {field.drift}",
        "NRM_TYPE_CHANGED": f"drift: {field.drift}",
        "NRM_MISSING_REQUIRED": "required",
        "NRM_MISSING_KEY": "key",
    }
    code = pl.col("fault ")
    return faulty.select(
        _item_columns(
            pl.col("alias "),
            judged.clause.name,
            code,
            blank_to_null(pl.col("text ")),
            rule=code.replace_strict(list(rules), list(rules.values()), return_dtype=pl.String),
        )
    )


def claims_of(contract: EntityContract, keys: pl.Series) -> pl.DataFrame:
    """The claims of faulty records on their keys."""
    frame = pl.DataFrame({"key": keys}).drop_nulls()
    code = pl.lit(None, dtype=pl.String)
    source = pl.lit(contract.origin.source)
    return frame.select(_item_columns(source, contract.key, code, pl.col("key"), rule=pl.lit(_KEY_RULE)))


def keyless_items(contract: EntityContract, rows: pl.DataFrame, *, failed: str) -> pl.DataFrame:
    """An item for each row that the pick could give to nobody; `failed` is the column that marks failed transforms."""
    pick = contract.origin.pick
    column = "" if pick is None else f"{contract.origin.source}.{pick.by.column}"
    if column not in rows.columns:
        return QUARANTINE_SCHEMA.to_frame()
    is_failed = pl.col(failed) if failed in rows.columns else pl.lit(False)
    text = blank_to_null(pl.col(column).cast(pl.String))
    code = pl.when(is_failed).then(pl.lit("NRM_TRANSFORM")).otherwise(pl.lit("NRM_MISSING_KEY"))
    rule = pl.lit(f"pick by {column.partition('.')[2]}")
    rows = rows.with_columns(pl.lit(None, dtype=pl.String).alias("key"))
    return rows.select(_item_columns(pl.lit(contract.origin.source), contract.key, code, text, rule=rule))


def undecided_items(contract: EntityContract, rows: pl.DataFrame) -> pl.DataFrame:
    """An item for each of these rows, of which a failed transform leaves open whether and with what they count."""
    nothing = pl.lit(None, dtype=pl.String)
    source, code = pl.lit(contract.origin.source), pl.lit("NRM_TRANSFORM")
    return rows.select(_item_columns(source, contract.key, code, nothing, rule=pl.lit("from, joins or scope: python")))


def in_order(items: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The items as one frame, in an order that does not depend on that of the rows."""
    together = pl.concat([QUARANTINE_SCHEMA.to_frame(), *(item.cast(QUARANTINE_SCHEMA) for item in items)])
    return together.sort(QUARANTINE_SCHEMA.names(), nulls_last=True)


def _item_columns(source: pl.Expr, field: str, code: pl.Expr, raw: pl.Expr, *, rule: pl.Expr) -> list[pl.Expr]:
    length = pl.concat_str(pl.lit("text("), raw.str.len_chars().cast(pl.String), pl.lit(")"))
    return [
        pl.col("key"),
        source.alias("source"),
        pl.lit(field).alias("field"),
        code.alias("code"),
        pl.when(raw.is_null()).then(pl.lit("blank")).otherwise(length).alias("value_class"),
        rule.alias("rule"),
    ]
