"""One field of a contract over a whole column: its value, where it came from, and what is wrong with it.

Pure. It carries out `from`, `steps`, `map`, `format`, `on_invalid` and `required` for the desired side, and brings the
target's values into the same spelling. What becomes of a record with a fault is decided in
`services.extractor.normalise`.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from shared.contract.columnar import as_text, formatted, stepped, value_type
from shared.contract.model import DefaultValue, FieldContract
from shared.contract.tables import MappingTable

# Prefixes of the working columns of a field; no name in a contract has a blank.
RAW = "raw "
"""The first non-blank text of the sources, as read."""
FROM = "from "
"""The alias that gave it; without any text, the alias that should have."""
VALUE = "value "
"""The canonical value."""
FAULT = "fault "
"""The code of what is wrong, null when nothing is."""
UNMAPPED = "unmapped "
"""The id, after the steps, that the mapping table does not hold."""
LOST = "lost "
"""Whether a value was dropped because of its form."""
_TABLE = {"id": pl.String, "code": pl.String}


def with_field(
    rows: pl.DataFrame, name: str, field: FieldContract, *, key: str, tables: Mapping[str, MappingTable]
) -> pl.DataFrame:
    """The rows with the working columns of one field."""
    nothing = pl.lit(None, dtype=pl.String)
    if field.sources is None:
        return rows.with_columns(
            pl.lit(field.constant, dtype=value_type(field.format)).alias(VALUE + name),
            pl.lit(False).alias(LOST + name),
            *(nothing.alias(prefix + name) for prefix in (RAW, FROM, FAULT, UNMAPPED)),
        )
    texts = {column: as_text(pl.col(column), rows.schema[column]) for column in field.sources}
    winners = [pl.when(text.is_not_null()).then(pl.lit(_alias(column))) for column, text in texts.items()]
    rows = rows.with_columns(
        pl.coalesce(*texts.values()).alias(RAW + name),
        pl.coalesce(*winners, pl.lit(_alias(field.sources[0]))).alias(FROM + name),
    )
    rows = rows.with_columns(stepped(pl.col(RAW + name), field.steps).alias("stepped "))
    looked_up = pl.col("stepped ") if field.map is None else _looked_up(pl.col("stepped "), field, tables[field.map])
    rows = rows.with_columns(looked_up.alias("looked up "))
    is_unmapped = pl.col("stepped ").is_not_null() & pl.col("looked up ").is_null()
    given = pl.col("looked up ")
    if isinstance(field.unmapped, DefaultValue):
        given = pl.when(is_unmapped).then(pl.lit(field.unmapped.default)).otherwise(given)
    rows = rows.with_columns(
        pl.when(is_unmapped).then(pl.col("stepped ")).alias(UNMAPPED + name),
        given.alias("given "),
        formatted(given, field.format).alias(VALUE + name),
    )
    # Text of which the steps leave nothing is no value; in every other form it is a value of the wrong form.
    is_misshapen = pl.col("given ").is_not_null() & pl.col(VALUE + name).is_null() & pl.lit(field.format != "text")
    faults = [pl.when(is_misshapen & pl.lit(field.on_invalid == "quarantine")).then(pl.lit("NRM_BAD_FORMAT"))]
    if not isinstance(field.unmapped, DefaultValue):
        faults.append(pl.when(pl.col(UNMAPPED + name).is_not_null()).then(pl.lit("NRM_UNMAPPED")))
    if field.required or name == key:
        code = "NRM_MISSING_KEY" if name == key else "NRM_MISSING_REQUIRED"
        faults.append(pl.when(pl.col(VALUE + name).is_null()).then(pl.lit(code)))
    return rows.with_columns(
        pl.coalesce(*faults).alias(FAULT + name),
        (is_misshapen & pl.lit(field.on_invalid == "discard_value")).alias(LOST + name),
    ).drop("stepped ", "looked up ", "given ")


def comparable(text: pl.Expr, field: FieldContract) -> pl.Expr:
    """A target value in the spelling of desired ones; codes that come out of a table are compared as they are."""
    if field.format == "boolean":
        return formatted(text, "boolean")
    if field.map is not None or field.constant is not None:
        return text.str.strip_chars()
    return pl.coalesce(formatted(stepped(text, field.steps), field.format), text.str.strip_chars())


def _looked_up(ids: pl.Expr, field: FieldContract, table: MappingTable) -> pl.Expr:
    """The table's code for each id, null for an id that it does not hold."""
    known = pl.DataFrame({"id": list(table.entries), "code": list(table.entries.values())}, schema_overrides=_TABLE)
    # The table's ids take the same steps as the source's, so that both are compared in one spelling.
    known = known.select(stepped(pl.col("id"), field.steps), "code").unique("id", keep="first", maintain_order=True)
    return ids.replace_strict(known["id"], known["code"], default=None, return_dtype=pl.String)


def _alias(column: str) -> str:
    return column.partition(".")[0]
