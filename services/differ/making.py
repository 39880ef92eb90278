"""Making finished changes of records whose fate is known: fields before and after with their causes, class, id,
precondition and the exact write.

Pure. What pairs with what, and what is removed, is decided before (`matching`, `removals`); left out here are records
that are protected or held, and fields that are protected. Which cells differ is found over whole columns; only records
that change become Python values, some thousand at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from services.differ.causes import CommitTo, cause_of, is_held
from services.differ.cells import Cell, Part, Row, cells_of, differs, looked_at, mark_of, rows_of
from services.differ.classify import Classes
from services.differ.comparing import EXISTING, Drafted, Entity, Memory, Recall
from services.differ.counting import Counting
from services.differ.removals import Fate, is_suspended
from shared.hashing.canonical import canonical_json, canonical_json_of_plain
from shared.hashing.commitment import committer, subject_keys
from shared.plan.change import DESTRUCTIVE, Aside, Cause, Change, ChangeClass, change_id_of
from shared.ports.wire import ChangeVerb, Record, Value
from shared.records.live import live_column

ROWS_AT_ONCE = 4_096
"""Records that are Python values at one time."""
_PLAIN = frozenset({str, int, bool, type(None)})
_PLAIN_KINDS = frozenset({pl.String, pl.Boolean, pl.Null})
"""Columns of these kinds hold only values that `canonical_json_of_plain` takes; whole numbers do as well."""
_VERBS: Mapping[ChangeClass, ChangeVerb] = {
    ChangeClass.SUSPEND: "suspend",
    ChangeClass.DELETE: "delete",
    ChangeClass.MEMBER_REMOVE: "delete",
}


@dataclass(slots=True)
class _Subject:
    """One record while its change is made."""

    key: str
    target_id: str | None
    memory: Memory | None
    commitment_key: bytes
    commit_to: CommitTo
    cohort: str | None = None
    """Where the guard counts its change; known when it is counted."""


class Maker:
    """Makes the changes of one entity and puts them into `drafted`, in no order."""

    def __init__(self, entity: Entity, recall: Recall, drafted: Drafted) -> None:
        self._entity = entity
        self._contract = entity.contract
        self._recall = recall
        self._drafted = drafted
        self._names = list(entity.contract.fields)
        self._classes = Classes(entity.contract)
        self._companions = [name for name in entity.write_companions if name in entity.contract.fields]
        self._protected_fields = frozenset(name for name, one in entity.contract.fields.items() if one.protected)
        self._counting = Counting(entity, drafted)
        self._subjects = f"{entity.target}/{entity.name}/"
        self._subject_key = subject_keys(entity.commitment_master)
        self._encode: Callable[[object], bytes] = canonical_json

    def pairs(self, pairs: pl.DataFrame) -> None:
        """Changes of records that exist; `pairs` has both sides' columns, pairs without a difference do nothing."""
        if pairs.is_empty():
            return
        names = looked_at(self._contract)
        marked = pairs.with_columns(
            *(differs(self._contract, pairs, name).alias(mark_of(name)) for name in names),
            is_suspended(self._contract, EXISTING).alias(_SUSPENDED),
        ).filter(pl.any_horizontal([pl.lit(False), *(pl.col(mark_of(name)) for name in names)]))
        marked = marked.with_columns(self._protected_pairs(marked))
        self._encode = self._encoding_of(marked)
        for frame in marked.iter_slices(ROWS_AT_ONCE):
            part = Part(frame, self._names)
            ids = frame.select("key", EXISTING + "target_id", _SUSPENDED, _PROTECTED).rows()
            for row, (cells, one) in enumerate(zip(cells_of(frame, names), ids, strict=True)):
                key, target_id, was_suspended, is_protected = one
                self._pair(self._subject(key, target_id), cells, part, row, was_suspended, is_protected)

    def creates(self, rows: pl.DataFrame) -> None:
        """New records."""
        if rows.is_empty():
            return
        protected = self._entity.protected.is_protected(rows)
        self._encode = self._encoding_of(rows)
        for part in rows.with_columns(protected.alias(_PROTECTED)).iter_slices(ROWS_AT_ONCE):
            keys = part.select("key", _PROTECTED).rows()
            for (key, is_protected), wanted in zip(keys, rows_of(part, self._names), strict=True):
                self._create(self._subject(key, None), self._record(wanted), is_protected=is_protected)

    def removals(self, rows: pl.DataFrame, fates: Mapping[str, Fate], outside_keys: frozenset[str]) -> None:
        """Changes of target records that are desired no longer, by the fate of each key."""
        if rows.is_empty():
            return
        live = [live_column(name) for name in self._names]
        protected = self._entity.protected.is_protected(rows)
        self._encode = self._encoding_of(rows)
        for part in rows.with_columns(protected.alias(_PROTECTED)).iter_slices(ROWS_AT_ONCE):
            ids = part.select("key", "target_id", _PROTECTED).rows()
            existing = zip(ids, rows_of(part, self._names), rows_of(part, live), strict=True)
            for (key, target_id, is_protected), known, shown in existing:
                fate = fates[key]
                if fate.change_class is ChangeClass.DELETE:
                    cause = Cause.EXPIRY
                else:
                    cause = Cause.SCOPE_CHANGE if key in outside_keys else Cause.SOURCE_CHANGE
                subject = self._subject(key, target_id)
                self._remove(subject, fate, cause, self._record(known), self._record(shown), is_protected=is_protected)

    def leave_out(self, *, key: str, target_id: str | None, change_class: ChangeClass, code: str) -> None:
        """Tell of a change that is left out."""
        self._leave_out(self._subject(key, target_id), change_class, (), code)

    # --- one record -------------------------------------------------------------------------------------------------

    def _pair(
        self,
        subject: _Subject,
        cells: Sequence[Cell],
        part: Part,
        row: int,
        was_suspended: bool,
        is_protected: bool,
    ) -> None:
        after = {cell.name: cell.wanted for cell in cells}
        change_class = self._class_of(cells, after, was_suspended=was_suspended)
        if is_protected or self._is_held(subject, lambda: part.wanted[row]):
            self._leave_out(subject, change_class, after, "DIF_PROTECTED" if is_protected else "DIF_HELD")
            return
        if not self._protected_fields.isdisjoint(after):
            kept = [cell for cell in cells if cell.name in self._protected_fields]
            values = {cell.name: cell.wanted for cell in kept}
            told = self._class_of(kept, values, was_suspended=was_suspended)
            self._leave_out(subject, told, values, "DIF_FIELD_PROTECTED")
            rest = [cell for cell in cells if cell.name not in values]
            if rest:
                self._pair(subject, rest, part, row, was_suspended, is_protected)
            return
        fields = [self._field(cell.name, cell.shown, cell.wanted, subject) for cell in cells]
        if self._counting.is_needed:
            before = self._record(part.known[row])
            subject.cohort = self._counting.count(change_class, after, before=before, after={**before, **after})
        verb: ChangeVerb = "reactivate" if was_suspended and self._classes.reactivates(after) else "update"
        written = self._with_companions(after, lambda: self._record(part.known[row]))
        self._finish(subject, change_class, verb, fields, after, written, self._record(part.shown[row]))

    def _class_of(self, cells: Iterable[Cell], after: Mapping[str, Value], *, was_suspended: bool) -> ChangeClass:
        had_value = [cell.name for cell in cells if cell.had_value]
        return self._classes.of_update(after, had_value=had_value, was_suspended=was_suspended)

    def _create(self, subject: _Subject, wanted: Record, *, is_protected: bool) -> None:
        after = {name: value for name, value in wanted.items() if value is not None}
        change_class = self._classes.of_create(after)
        if is_protected or self._is_held(subject, lambda: tuple(wanted.values())):
            self._leave_out(subject, change_class, after, "DIF_PROTECTED" if is_protected else "DIF_HELD")
            return
        fields = [self._field(name, None, value, subject) for name, value in after.items()]
        if self._counting.is_needed:
            subject.cohort = self._counting.count(change_class, after, before=None, after=wanted)
        self._finish(subject, change_class, "create", fields, after, after, None)

    def _remove(
        self, subject: _Subject, fate: Fate, cause: Cause, known: Record, shown: Record, *, is_protected: bool
    ) -> None:
        after = self._after_removal(fate.change_class, known)
        code = fate.code
        if is_protected:
            code = "DIF_PROTECTED"
        elif self._is_held(subject, None):
            code = "DIF_HELD"
        elif fate.change_class is ChangeClass.SUSPEND and not self._protected_fields.isdisjoint(after):
            # Half a suspension would be found again, and written again, in every run.
            code = "DIF_FIELD_PROTECTED"
        if code is not None:
            self._leave_out(subject, fate.change_class, after, code)
            return
        fields: list[dict[str, Any]] = [
            {"name": name, "before": shown[name], "after": value, "cause": cause} for name, value in after.items()
        ]
        if self._counting.is_needed:
            subject.cohort = self._counting.count(fate.change_class, after, before=known, after={**known, **after})
        written = self._with_companions(after, lambda: known) if fate.change_class is ChangeClass.SUSPEND else {}
        self._finish(subject, fate.change_class, _VERBS[fate.change_class], fields, after, written, shown)

    def _after_removal(self, change_class: ChangeClass, known: Record) -> dict[str, Value]:
        """What is left of the record: the fields of its suspension that it has not yet, or nothing where it stood."""
        contract = self._contract
        if change_class is ChangeClass.SUSPEND:
            suspended = contract.removal.suspended
            return {
                name: suspended[name] for name in self._names if name in suspended and known[name] != suspended[name]
            }
        membership = contract.membership
        emptied = {contract.key} if membership is None else {membership.group, membership.member}
        return {name: None for name in self._names if name in emptied}

    def _with_companions(self, after: Record, known: Callable[[], Record]) -> Record:
        """What is written to a record that exists: the change, and what it has to send along as the record has it.

        What is sent along is no change: it enters neither the fields nor the id, and the applier writes only where the
        record still shows what this run has seen.
        """
        left_out = [name for name in self._companions if name not in after]
        if not left_out:
            return after
        record = known()
        return {**{name: record[name] for name in left_out}, **after}

    def _is_held(self, subject: _Subject, wanted: Callable[[], Row] | None) -> bool:
        memory = subject.memory
        if memory is None or memory.held_against is None:
            return False
        return is_held(memory, None if wanted is None else self._record(wanted()), commit_to=subject.commit_to)

    def _record(self, row: Row) -> dict[str, Value]:
        return dict(zip(self._names, row, strict=True))

    def _field(self, name: str, before: Value, after: Value, subject: _Subject) -> dict[str, Any]:
        """A `FieldChange`, still to be checked: with all others of its change at once that takes half of the time."""
        memory = subject.memory
        cause = (
            Cause.SOURCE_CHANGE
            if memory is None
            else cause_of(
                name,
                after,
                memory=memory,
                commit_to=subject.commit_to,
                clause_digests=self._entity.clause_digests,
            )
        )
        return {"name": name, "before": before, "after": after, "cause": cause}

    def _subject(self, key: str, target_id: str | None) -> _Subject:
        commitment_key = self._subject_key(f"{self._subjects}{key}")
        commit_to = committer(commitment_key, encode=self._encode)
        return _Subject(key, target_id, self._recall.get(key), commitment_key, commit_to)

    def _encoding_of(self, rows: pl.DataFrame) -> Callable[[object], bytes]:
        """How the values of these rows are written for their commitments: looked through first only where they may
        be other than plain, for which the column's type is a better witness than each of its values."""
        fixed = self._contract.removal.suspended.values()
        is_plain = (
            "".join(self._names).isascii()
            and all(type(value) in _PLAIN for value in fixed)
            and all(kind in _PLAIN_KINDS or kind.is_integer() for kind in rows.dtypes)
        )
        return canonical_json_of_plain if is_plain else canonical_json

    def _leave_out(self, subject: _Subject, change_class: ChangeClass, fields: Iterable[str], code: str) -> None:
        self._drafted.aside.append(
            Aside(
                entity=self._entity.name,
                key=subject.key,
                target_id=subject.target_id,
                change_class=change_class,
                fields=tuple(fields),
                code=code,
                commitment_key=subject.commitment_key.hex(),
            )
        )

    def _finish(
        self,
        subject: _Subject,
        change_class: ChangeClass,
        verb: ChangeVerb,
        fields: Sequence[Mapping[str, Any]],
        after: Record,
        written: Record,
        shown: Record | None,
    ) -> None:
        entity, memory = self._entity, subject.memory
        write = entity.wire.write_for(entity.name, verb=verb, target_id=subject.target_id, values=written)
        change_id = change_id_of(
            target=entity.target,
            entity=entity.name,
            key=subject.key,
            change_class=change_class,
            after_commitment=subject.commit_to(after),
        )
        self._drafted.changes.append(
            Change.model_validate(
                {
                    "change_id": change_id,
                    "target": entity.target,
                    "entity": entity.name,
                    "key": subject.key,
                    "target_id": subject.target_id,
                    "change_class": change_class,
                    "verb": verb,
                    "fields": fields,
                    "precondition": None if shown is None else subject.commit_to(shown),
                    "write": {
                        "method": write.method,
                        "path": write.path,
                        "body": None if write.body is None else dict(write.body),
                    },
                    "commitment_key": subject.commitment_key.hex(),
                    "wave": entity.waves.destructive if change_class in DESTRUCTIVE else entity.waves.constructive,
                    "cohort": subject.cohort,
                    "marks": ("deferred",) if memory is not None and change_id in memory.deferred else (),
                }
            )
        )

    def _protected_pairs(self, pairs: pl.DataFrame) -> pl.Series:
        """Whether the record of each pair is protected: by what the target shows, or by the key it is matched to."""
        columns = ["target_id", *self._names]
        shown = pairs.select(
            pl.col("key").alias("desired key"),
            pl.col(EXISTING + "key").alias("key"),
            *(pl.col(EXISTING + name).alias(name) for name in columns),
        )
        matched = shown.with_columns(pl.col("desired key").alias("key"))
        protected = self._entity.protected.is_protected(shown) | self._entity.protected.is_protected(matched)
        return protected.alias(_PROTECTED)


_SUSPENDED = "is suspended"
_PROTECTED = "is protected"
