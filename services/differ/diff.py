"""Comparing one partition: desired and existing records become finished changes.

Pure. It matches (by our key, else by the contract's correlation fields), classifies, writes down before and after, and
has the system's wire put the exact write. What is in quarantine is unknown: it is neither changed nor removed. Without
a certificate for every source nothing is removed. Columns are compared as columns; only records that change are looked
at one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from services.differ.classify import classify
from shared.contract.model import EntityContract
from shared.hashing.commitment import commit, subject_key
from shared.plan.change import (
    DESTRUCTIVE,
    Cause,
    Change,
    ChangeClass,
    FieldChange,
    Write,
    change_id_of,
    state_commitment,
)
from shared.ports.wire import ChangeVerb, Value, Wire
from shared.records.live import live_column

_EXISTING = "existing "
_AMBIGUOUS = "ambiguous "
Row = Mapping[str, Value]
WrittenLast = Mapping[str, Mapping[str, str]]
"""Commitments to what we wrote last, by key and field."""


@dataclass(frozen=True)
class Partition:
    """The inputs of one comparison."""

    target: str
    """Name of the target connection."""
    entity: str
    contract: EntityContract
    desired: pl.DataFrame
    existing: pl.DataFrame
    """Target records with our key, of this partition."""
    unkeyed: pl.DataFrame
    """Target records without our key, of all partitions."""
    quarantined_keys: frozenset[str]
    """Keys in quarantine on either side: of the source, rows that cannot be read; of the target, keys that several
    records claim."""
    may_remove: bool
    """Whether every source that feeds the entity is certified."""
    commitment_master: bytes


@dataclass
class Comparison:
    """The outcome of one comparison."""

    changes: list[Change] = field(default_factory=list)
    """In change-id order."""
    ambiguous_keys: list[str] = field(default_factory=list)
    """Desired records that match several target records."""
    removals_suppressed: int = 0
    desired: int = 0
    live_managed: int = 0
    """Live, managed, in-scope target records: the guard's denominator."""
    quarantined_kept: int = 0
    """Target records left alone because their source row is in quarantine."""

    @property
    def by_class(self) -> dict[str, int]:
        """Changes by class, in name order."""
        counted = Counter(change.change_class.value for change in self.changes)
        return {name: counted[name] for name in sorted(counted)}

    @property
    def null_outs(self) -> int:
        """Changes in which at least one value becomes empty."""
        return sum(any(f.after is None and f.before is not None for f in change.fields) for change in self.changes)


def diff(partition: Partition, wire: Wire) -> Comparison:
    """All changes of one partition."""
    maker = _Maker(partition, wire)
    is_quarantined = pl.col("key").is_in(sorted(partition.quarantined_keys))
    existing = partition.existing.filter(~is_quarantined)
    # A sound record whose key is in quarantine: several target records have it. Taken for new, it would be one more.
    contested = partition.desired.filter(is_quarantined).get_column("key").to_list()
    desired = partition.desired.filter(~is_quarantined)
    result = Comparison(
        desired=partition.desired.height,
        live_managed=partition.existing.filter(~_is_suspended(partition.contract)).height,
        quarantined_kept=partition.existing.height - existing.height,
    )
    beside = existing.rename({name: _EXISTING + name for name in existing.columns if name != "key"})
    joined = desired.join(beside, on="key", how="left")
    matched = joined.filter(pl.col(_EXISTING + "target_id").is_not_null())
    result.changes += maker.updates(matched)
    unmatched = joined.filter(pl.col(_EXISTING + "target_id").is_null()).select(desired.columns)
    adopted, created, unclear = _correlate(partition, unmatched)
    result.ambiguous_keys = sorted([*contested, *unclear])
    result.changes += maker.updates(adopted)
    result.changes += maker.creates(created)
    absent = existing.join(desired.select("key"), on="key", how="anti").filter(~_is_suspended(partition.contract))
    if partition.contract.removal.ladder == "suspend":
        if partition.may_remove:
            result.changes += maker.suspends(absent)
        else:
            result.removals_suppressed = absent.height
    result.changes.sort(key=lambda change: change.change_id)
    return result


def explained(changes: list[Change], written_last: WrittenLast) -> list[Change]:
    """The changes with their causes: a field that we wrote as it should be, and that the target lost, has drifted."""
    return [_explained(change, written_last.get(change.key, {})) for change in changes]


def _explained(change: Change, written: Mapping[str, str]) -> Change:
    if not written or change.change_class in {ChangeClass.SUSPEND, ChangeClass.DELETE}:
        return change
    key = bytes.fromhex(change.commitment_key)
    fields = tuple(
        one.model_copy(update={"cause": Cause.DRIFT}) if written.get(one.name) == commit(key, one.after) else one
        for one in change.fields
    )
    return change.model_copy(update={"fields": fields})


def _is_suspended(contract: EntityContract) -> pl.Expr:
    """Whether a target record is suspended already; never, where the contract does not say how that looks."""
    suspended = contract.removal.suspended
    if not suspended:
        return pl.lit(False)
    return pl.all_horizontal(pl.col(name).eq_missing(pl.lit(value)) for name, value in suspended.items())


def _correlate(partition: Partition, unmatched: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Desired records without a target record of their key: adopted (joined with the record found), new, ambiguous."""
    contract = partition.contract
    candidates = partition.unkeyed.drop("key").rename(
        {name: _EXISTING + name for name in partition.unkeyed.columns if name != "key"}
    )
    found: list[pl.DataFrame] = []
    ambiguous: list[str] = []
    for name in contract.correlate:
        if name == contract.key or unmatched.is_empty() or candidates.is_empty():
            continue
        pairs = unmatched.join(candidates, left_on=name, right_on=_EXISTING + name, how="inner", coalesce=False)
        # One record for one record: who matches several is for a person to decide. That several claim one record is
        # for the plan to see, for they may lie in different partitions.
        pairs = pairs.with_columns(pl.col("key").is_duplicated().alias(_AMBIGUOUS))
        ambiguous += pairs.filter(pl.col(_AMBIGUOUS)).get_column("key").unique().to_list()
        found.append(pairs.filter(~pl.col(_AMBIGUOUS)).drop(_AMBIGUOUS))
        unmatched = unmatched.join(pairs.select("key"), on="key", how="anti")
    columns = [*partition.desired.columns, *candidates.columns]
    adopted = pl.concat([pairs.select(columns) for pairs in found]) if found else pl.DataFrame()
    return adopted, unmatched, sorted(ambiguous)


class _Maker:
    """Makes finished changes of one partition."""

    def __init__(self, partition: Partition, wire: Wire) -> None:
        self._partition = partition
        self._contract = partition.contract
        self._wire = wire

    def updates(self, pairs: pl.DataFrame) -> Iterator[Change]:
        """Changes of records that exist, for those pairs that differ."""
        if pairs.is_empty():
            return
        for row in pairs.filter(pl.any_horizontal(self._differs(name) for name in self._compared)).iter_rows(
            named=True
        ):
            names = [
                name for name in self._compared if _row_differs(row, name, clears=self._contract.fields[name].clear)
            ]
            fields = [
                FieldChange(
                    name=name,
                    before=row[_EXISTING + live_column(name)],
                    after=row[name],
                    cause=Cause.SOURCE_CHANGE,
                )
                for name in names
            ]
            change_class = classify(
                self._contract, fields, was_suspended=self._was_suspended(row), before_by_name=_existing_values(row)
            )
            verb: ChangeVerb = "reactivate" if change_class is ChangeClass.REACTIVATE else "update"
            yield self._change(row["key"], row[_EXISTING + "target_id"], change_class, verb, fields, row)

    def creates(self, rows: pl.DataFrame) -> Iterator[Change]:
        """New records."""
        for row in rows.iter_rows(named=True):
            fields = [
                FieldChange(name=name, before=None, after=row[name], cause=Cause.SOURCE_CHANGE)
                for name in self._contract.fields
                if row[name] is not None
            ]
            yield self._change(row["key"], None, ChangeClass.CREATE, "create", fields, None)

    def suspends(self, rows: pl.DataFrame) -> Iterator[Change]:
        """Records that are desired no longer."""
        for plain in rows.iter_rows(named=True):
            row = {_EXISTING + name: value for name, value in plain.items()}
            fields = [
                FieldChange(name=name, before=row[_EXISTING + live_column(name)], after=value, cause=Cause.SCOPE_CHANGE)
                for name, value in self._contract.removal.suspended.items()
            ]
            yield self._change(plain["key"], plain["target_id"], ChangeClass.SUSPEND, "suspend", fields, row)

    @property
    def _compared(self) -> list[str]:
        return [name for name, one in self._contract.fields.items() if one.managed]

    def _differs(self, name: str) -> pl.Expr:
        differs = pl.col(name).ne_missing(pl.col(_EXISTING + name))
        # Nothing in the source leaves the target's value alone, unless the contract says that it clears.
        return differs if self._contract.fields[name].clear else differs & pl.col(name).is_not_null()

    def _was_suspended(self, row: Row) -> bool:
        suspended = self._contract.removal.suspended
        return bool(suspended) and all(row[_EXISTING + name] == value for name, value in suspended.items())

    def _change(
        self,
        key: str,
        target_id: str | None,
        change_class: ChangeClass,
        verb: ChangeVerb,
        fields: list[FieldChange],
        existing: Row | None,
    ) -> Change:
        partition = self._partition
        subject = f"{partition.target}/{partition.entity}/{key}"
        commitment_key = subject_key(partition.commitment_master, subject)
        precondition = None
        if existing is not None:
            shown = {name: existing[_EXISTING + live_column(name)] for name in self._contract.fields}
            precondition = state_commitment(commitment_key, shown)
        after = {one.name: one.after for one in fields}
        write = self._wire.write_for(partition.entity, verb=verb, target_id=target_id, values=after)
        return Change(
            change_id=change_id_of(
                target=partition.target,
                entity=partition.entity,
                key=key,
                change_class=change_class,
                after_commitment=state_commitment(commitment_key, after),
            ),
            target=partition.target,
            entity=partition.entity,
            key=key,
            target_id=target_id,
            change_class=change_class,
            verb=verb,
            fields=tuple(fields),
            precondition=precondition,
            write=Write(method=write.method, path=write.path, body=None if write.body is None else dict(write.body)),
            commitment_key=commitment_key.hex(),
            wave=2 if change_class in DESTRUCTIVE else 1,
        )


def _row_differs(row: Row, name: str, *, clears: bool) -> bool:
    if row[name] is None and not clears:
        return False
    return row[name] != row[_EXISTING + name]


def _existing_values(row: Row) -> dict[str, Value]:
    return {name.removeprefix(_EXISTING): value for name, value in row.items() if name.startswith(_EXISTING)}
