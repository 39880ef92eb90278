"""The raw rows behind keys that several records claim, so that they can be normalised again once that is settled.

Pure. Only when all records of a key are at hand is it known that there are several; by then their raw rows have gone
by, and they are found once more here. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from services.extractor.fields import Clause
from services.extractor.gathering import FAILED, gather
from services.extractor.judgement import judge
from services.extractor.rules import Rules
from shared.contract.model import EntityContract


def raw_of_keys(
    contract: EntityContract, rules: Rules, frames: Mapping[str, pl.DataFrame], keys: pl.Series
) -> pl.DataFrame:
    """The gathered rows of the records with one of these keys: `key` and `alias.column`, as read."""
    rules = rules.for_batch()
    rows = gather(contract, rules, frames).rows
    clause = Clause(contract.key, contract.fields[contract.key], is_key=True)
    (judged,) = judge(rows, [clause], rules, home=contract.origin.source)
    rows = rows.with_columns(judged.value.cast(pl.String).alias("key"))
    return rows.filter(pl.col("key").is_in(keys.implode())).select("key", pl.exclude("key", FAILED))
