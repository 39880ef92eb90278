"""Raw rows into canonical records: which rows count, what each field's value is, and which records cannot go on.

Pure, and over whole columns: the same rows and the same contract give the same records, in any order of rows and cut
into any batches that keep together what belongs to one record. It never decides what to change; a record that it
quarantines is *unknown*, and its key is handed on so that nobody takes it for absent. It stands on the road between the
certified pages of the extractor and the partitions of the differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from services.extractor.account import (
    VALUES_KEPT_MAX,
    Account,
    Blocked,
    Discarded,
    Unmapped,
    merge_accounts,
    ranked,
    refuse_blocked,
)
from services.extractor.distinct import TEXT, Rewriting, rewritten
from services.extractor.drift import Drift, DriftNote, drift_of, first_column, refuse_drift
from services.extractor.fields import Clause, comparable
from services.extractor.gathering import FAILED, gather
from services.extractor.judgement import Judged, judge
from services.extractor.quarantine import (
    QUARANTINE_SCHEMA,
    TARGET,
    claims_of,
    field_items,
    in_order,
    keyless_items,
    settle_duplicates,
    undecided_items,
)
from services.extractor.rules import Rules
from shared.contract.columnar import as_text
from shared.contract.field import FieldContract
from shared.contract.model import EntityContract

__all__ = [
    "LEFT_ALONE",
    "QUARANTINE_SCHEMA",
    "Account",
    "Blocked",
    "Discarded",
    "DriftNote",
    "Normalised",
    "Rules",
    "Unmapped",
    "merge_accounts",
    "normalise_desired",
    "normalise_existing",
    "refuse_blocked",
    "settle_duplicates",
]

LEFT_ALONE = "left alone"
"""Column of the desired records: the fields, with commas between, of which nothing is known now; mostly null."""
_VALUE = "value"


@dataclass(frozen=True)
class Normalised:
    """What became of a batch of one side: each record is in `records`, in `quarantined` or counted as out of scope."""

    records: pl.DataFrame
    """`key`, on the target side `target_id`, then the contract's fields in contract order, on the source side
    `LEFT_ALONE`. Several may have one key, and they have no order, until `settle_duplicates` has seen them."""
    quarantined: pl.DataFrame
    """One row for each clause that a record did not meet; columns of `QUARANTINE_SCHEMA`. A record may have several.
    Until `settle_duplicates` there are claims among them, whose code is null."""
    outside_keys: pl.Series
    """Keys of records that the scope leaves out, each once, as far as they have a sound one."""
    account: Account
    """The numbers."""

    @property
    def unmapped(self) -> tuple[Unmapped, ...]:
        """By table, then most rows first; ids with a default are listed too."""
        return self.account.unmapped

    @property
    def discarded(self) -> tuple[Discarded, ...]:
        """By field; nothing is dropped in silence."""
        return self.account.discarded

    @property
    def out_of_scope(self) -> int:
        """Records that the contract's scope leaves out."""
        return self.account.out_of_scope

    @property
    def rows_read(self) -> Mapping[str, int]:
        """Rows as read, by alias; `target` on the target side."""
        return self.account.rows_read

    @property
    def drift(self) -> tuple[DriftNote, ...]:
        """What is not as agreed and did not stop the run."""
        return self.account.drift

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        """What stops the run after the last batch."""
        return self.account.blocked

    @property
    def warnings(self) -> tuple[str, ...]:
        """The drift in sentences, for people."""
        return self.account.warnings

    @property
    def quarantined_keys(self) -> pl.Series:
        """Keys of which nothing is known in this run, each once, in order: never absent, never changed."""
        return self.quarantined.get_column("key").drop_nulls().unique().sort()

    @property
    def quarantined_without_key(self) -> int:
        """Items that may concern any key at all, because the row has none."""
        return self.quarantined.get_column("key").null_count()


def normalise_desired(contract: EntityContract, rules: Rules, frames: Mapping[str, pl.DataFrame]) -> Normalised:
    """The desired records of one entity from a batch of the rows of its sources, by alias.

    A batch holds all rows of a source that can come to stand for, or beside, one record. After the last batch
    `refuse_blocked` stops the run if it must, and `settle_duplicates` sees to keys that several records claim.
    `StopRun` NRM_SCHEMA_DRIFT at once when the shape of a source has changed in a way that the contract does not allow.
    """
    rules = rules.for_batch()
    shapes = rules.shapes if rules.shapes is not None else {alias: frame.schema for alias, frame in frames.items()}
    drift = drift_of(contract, shapes, rules.declared)
    refuse_drift(drift)
    gathered = gather(contract, rules, frames)
    clauses = [
        Clause(name, one, is_key=name == contract.key, drifted=drift.affecting(name))
        for name, one in contract.fields.items()
    ]
    home = contract.origin.source
    judged = judge(gathered.rows, clauses, rules, home=home)
    (key_clause,) = (clause for clause in clauses if clause.is_key)
    keys = next(one.value for one in judged if one.clause.is_key).cast(pl.String).alias("key")
    rows = gathered.rows.with_columns(keys)
    is_sound = _is_sound(rows, judged)
    faulty = rows.filter(~is_sound)
    outside = judge(gathered.outside, [key_clause], rules, home=home)[0]
    items = [found for one in judged if (found := field_items(rows, one)) is not None]
    if FAILED in rows.columns:
        items.append(undecided_items(contract, rows.filter(pl.col(FAILED))))
    keyless = gathered.keyless
    return Normalised(
        records=_records(keys, judged).filter(is_sound),
        quarantined=in_order(
            [*items, claims_of(contract, faulty.get_column("key")), keyless_items(contract, keyless, failed=FAILED)]
        ),
        outside_keys=outside.value.cast(pl.String).drop_nulls().unique().alias("key"),
        account=Account(
            unmapped=_unmapped(judged),
            discarded=_discarded(judged),
            out_of_scope=gathered.outside.height,
            rows_read=gathered.rows_read,
            drift=_drift(drift, judged, rows.height),
            blocked=_blocked(judged),
        ),
    )


def normalise_existing(contract: EntityContract, frame: pl.DataFrame) -> Normalised:
    """The existing records of one entity from a batch of the target's rows, in the spelling that desired values have.

    Equal meanings come out equal. A value that has not the field's form stays as it is, so that it differs from every
    desired one. A record without key keeps a null key: it is nobody's until it is adopted. `settle_duplicates` sees to
    records that share a key. `StopRun` NRM_SCHEMA_DRIFT when a column is missing.
    """
    missing = [name for name in ("target_id", *contract.fields) if name not in frame.columns]
    refuse_drift(Drift(tuple(DriftNote(TARGET, name, "missing", "freeze") for name in missing)))
    texts = frame.select(as_text(pl.col(name), frame.schema[name]).alias(name) for name in contract.fields)
    made = rewritten(texts, {name: _comparing(one) for name, one in contract.fields.items()})
    values = [_made_of(made[name], name, one, rows=frame.height) for name, one in contract.fields.items()]
    records = pl.DataFrame([frame.get_column("target_id").cast(pl.String), *values]).with_columns(
        pl.col(contract.key).cast(pl.String).alias("key")
    )
    return Normalised(
        records=records.select("key", "target_id", *contract.fields),
        quarantined=QUARANTINE_SCHEMA.to_frame(),
        outside_keys=pl.Series("key", [], dtype=pl.String),
        account=Account(rows_read={TARGET: frame.height}),
    )


def _comparing(field: FieldContract) -> Rewriting:
    return Rewriting(lambda texts: texts.select(comparable(pl.col(TEXT), field).alias(_VALUE)))


def _made_of(made: pl.DataFrame, name: str, field: FieldContract, *, rows: int) -> pl.Series:
    if _VALUE in made.columns:
        return made.get_column(_VALUE).alias(name)
    # Null throughout, and left out for that.
    return pl.Series(name, [None], dtype=pl.Boolean if field.format == "boolean" else pl.String).new_from_index(0, rows)


def _is_sound(rows: pl.DataFrame, judged: Sequence[Judged]) -> pl.Series:
    faults = {str(place): one.fault for place, one in enumerate(judged) if one.fault is not None}
    sound = [pl.col(name).is_null() for name in faults]
    if FAILED in rows.columns:
        faults[FAILED] = rows.get_column(FAILED)
        sound.append(~pl.col(FAILED))
    if not sound:
        return pl.Series("sound", [True], dtype=pl.Boolean).new_from_index(0, rows.height)
    return pl.DataFrame(faults).select(pl.all_horizontal(sound).alias("sound")).get_column("sound")


def _records(keys: pl.Series, judged: Sequence[Judged]) -> pl.DataFrame:
    values = [one.value.alias(one.clause.name) for one in judged]
    return pl.DataFrame([keys, *values, _left_alone(judged, keys.len())])


def _left_alone(judged: Sequence[Judged], height: int) -> pl.Series:
    lost = {one.clause.name: one.lost for one in judged if one.lost is not None}
    if not lost:
        return pl.Series(LEFT_ALONE, [None], dtype=pl.String).new_from_index(0, height)
    names = [pl.when(pl.col(name).is_not_null()).then(pl.lit(name)) for name in lost]
    joined = pl.concat_str(names, separator=",", ignore_nulls=True)
    return pl.DataFrame(lost).select(pl.when(joined != "").then(joined).alias(LEFT_ALONE)).get_column(LEFT_ALONE)


def _unmapped(judged: Sequence[Judged]) -> tuple[Unmapped, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for one in judged:
        if one.unmapped is not None:
            lookup = one.clause.field.lookup
            table = one.clause.field.map or ("" if lookup is None else lookup.entity)
            counted = one.unmapped.drop_nulls().value_counts(name="rows")
            counts.update({(table, raw_id): count for raw_id, count in counted.iter_rows()})
    return ranked(counts)


def _discarded(judged: Sequence[Judged]) -> tuple[Discarded, ...]:
    return tuple(
        Discarded(one.clause.name, code, rows)
        for one in judged
        if one.lost is not None
        for code, rows in one.lost.drop_nulls().value_counts(name="rows").sort("rows").iter_rows()
    )


def _drift(drift: Drift, judged: Sequence[Judged], height: int) -> tuple[DriftNote, ...]:
    """The notes on the shape, with how many records they concern, and those on values outside an enum."""
    notes = [note if note.field is None else replace(note, rows=height) for note in drift.notes]
    for one in judged:
        if one.unknown is not None and one.clause.field.drift != "freeze":
            alias, column = first_column(one.clause.field)
            rows = one.unknown.len() - one.unknown.null_count()
            notes.append(DriftNote(alias, column, "value", one.clause.field.drift, one.clause.name, rows))
    return tuple(notes)


def _blocked(judged: Sequence[Judged]) -> tuple[Blocked, ...]:
    found: list[Blocked] = []
    for one in judged:
        clause = one.clause.field
        if one.unmapped is not None and clause.unmapped == "block":
            place = f"table {clause.map} does not hold"
            remedy = f"add them to tables/{clause.map}.csv and release the connector"
            if clause.lookup is not None:
                place = f"entity {clause.lookup.entity} of the target does not answer"
                remedy = "create the records that they name in the target, once each"
            found.append(_refused(one, one.unmapped, "NRM_BLOCKED_UNMAPPED", place, remedy))
        if one.unknown is not None and clause.drift == "freeze":
            remedy = "correct them in the source, or add them to `values` and release the connector"
            found.append(_refused(one, one.unknown, "NRM_SCHEMA_DRIFT", "the contract does not list", remedy))
    return tuple(found)


def _refused(one: Judged, values: pl.Series, code: str, place: str, remedy: str) -> Blocked:
    present = values.drop_nulls()
    distinct = present.unique().sort().to_list()
    kept = tuple(distinct[:VALUES_KEPT_MAX])
    return Blocked(one.clause.name, code, place, remedy, present.len(), kept, is_cut=len(distinct) > len(kept))
