"""A second opinion on a contract: what it desires, worked out in plain Python for one row after another.

`services.extractor` works on whole columns. This evaluator was written from the descriptions of the language alone,
is slow on purpose and shares no line with it; `test_row_by_row` asks both and wants one answer. It reads no file and
no clock, and it never decides about the target.

Where the descriptions leave something open, this is the reading taken:

* Rows that are equal in every term of an order are in no order; whoever asks for one answer must not have such rows.
* A row whose `pick.by` is blank is quarantined before the scope is asked, once, and none of its fields is looked at.
* A record without a key has the item `NRM_MISSING_KEY` in place of `NRM_MISSING_REQUIRED`; its other fields are judged.
* Every field of a record is judged, so that one record may wait for several reasons.
* An invalid or drifted value that is discarded is no value: a `required` field then quarantines the record.
* `left alone` names the fields whose value was discarded; what no value means (`clear`) is for the differ to say.
* A value that the steps empty was there: it still has to be in the table and of the form, and only as a `text` is it no
  value. A transform that gives None says that there is no value. In conditions, joins and orders both are blank.
* The value class of an item is that of the text before the steps.
* A transform that refuses a value makes it invalid, for `on_invalid` to judge.
* Transforms that refuse a value are judged in a field's own steps only; anywhere else `TransformFailed` comes out.
* What the steps empty is no id, in a table as little as in a source.
* An id that several records of the target have, or whose record has nothing to take, gets no default.
* All records of a key that several claim wait for that reason too, also those that wait for another.
* In a `concat` a fixed text is always a part, and so are its separators.
* Unmapped ids are counted in scope, whatever else is wrong with the record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.contract.field import Case, Concat, DefaultValue, FieldContract, TextPart
from shared.contract.model import EntityContract, Join, Pick
from shared.contract.words import OrderBy
from tests.contracts.value_by_value import (
    Raw,
    Tables,
    TransformFailed,
    Transforms,
    as_text,
    formatted,
    holds,
    is_blank,
    stepped,
    steps_taken,
)

Row = Mapping[str, Raw]
"""One row of one source, by bare column."""
Joined = Mapping[str, Row | None]
"""The rows that stand side by side, by alias; None where a join found nothing."""


@dataclass(frozen=True, order=True)
class Item:
    """One reason for which a record waits for a person."""

    key: str
    """Empty where the record has none."""
    source: str
    field: str
    code: str
    value_class: str
    rule: str


@dataclass
class Evaluated:
    """What the contract makes of the rows."""

    records: list[dict[str, Any]] = field(default_factory=list)
    """`key`, the fields, and `left alone`."""
    quarantined: list[Item] = field(default_factory=list)
    unmapped: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By table or entity looked up, and value."""
    claimed: list[Any] = field(default_factory=list)
    """Keys of the quarantined records."""
    out_of_scope: int = 0
    blocked: set[tuple[str, str]] = field(default_factory=set)
    """Fields that stop the run, with the code; nothing else counts then."""


@dataclass(frozen=True)
class _Problem:
    code: str
    value_class: str
    rule: str


@dataclass(frozen=True)
class _Value:
    value: str | bool | None
    source: str
    discarded: bool = False
    problem: _Problem | None = None


@dataclass(frozen=True)
class RowByRow:
    """Evaluates one contract."""

    contract: EntityContract
    tables: Tables
    transforms: Transforms
    lookups: Mapping[str, Sequence[Row]]
    """Rows of the target's entities, as they stand before the run."""

    def evaluate(self, sources: Mapping[str, Sequence[Row]]) -> Evaluated:
        """The records that the rows of the sources make, and what became of the others."""
        found = Evaluated()
        records: list[dict[str, Any]] = []
        for row in self._origin_rows(sources, found):
            joined = self._joined(row, sources)
            if not all(self._holds(test, joined) for test in self.contract.scope):
                found.out_of_scope += 1
                continue
            self._record(joined, found, records)
        self._settle(records, found)
        return found

    def _origin_rows(self, sources: Mapping[str, Sequence[Row]], found: Evaluated) -> list[Row]:
        origin = self.contract.origin
        rows = [row for row in sources[origin.source] if all(self._bare(test, row) for test in origin.where)]
        return rows if origin.pick is None else self._picked(rows, origin.pick, found)

    def _picked(self, rows: list[Row], pick: Pick, found: Evaluated) -> list[Row]:
        things: dict[str, list[Row]] = {}
        for row in rows:
            thing = stepped(as_text(row[pick.by.column]), pick.by.steps, self.transforms)
            if thing is None:
                rule, shown = f"pick by {pick.by.column}", _class_of(as_text(row[pick.by.column]))
                found.quarantined.append(
                    Item("", self.contract.origin.source, self.contract.key, "NRM_MISSING_KEY", shown, rule)
                )
            else:
                things.setdefault(thing, []).append(row)
        return [self._first(same, pick.order) for same in things.values()]

    def _first(self, rows: list[Row], order: Sequence[OrderBy]) -> Row:
        first = rows[0]
        for row in rows[1:]:
            if self._compare(row, first, order) < 0:
                first = row
        return first

    def _compare(self, one: Row, other: Row, order: Sequence[OrderBy]) -> int:
        for term in order:
            left, right = self._rank(one, term), self._rank(other, term)
            if left is None or right is None:
                if (left is None) != (right is None):
                    return 1 if left is None else -1
            elif left != right:
                # A column holds values of one type, so that only like is compared with like.
                smaller = left < right  # type: ignore[operator]  # see above
                return -1 if smaller == (term.direction == "asc") else 1
        return 0

    def _rank(self, row: Row, term: OrderBy) -> Raw:
        raw = row[term.column]
        if term.steps or isinstance(raw, str):
            return stepped(as_text(raw), term.steps, self.transforms)
        return raw

    def _joined(self, row: Row, sources: Mapping[str, Sequence[Row]]) -> Joined:
        joined: dict[str, Row | None] = {self.contract.origin.source: row}
        for join in self.contract.joins:
            joined[join.source] = self._match(join, joined, sources[join.source])
        return joined

    def _match(self, join: Join, joined: Joined, rows: Sequence[Row]) -> Row | None:
        wanted = stepped(self._cell(join.on.left.column, joined), join.on.left.steps, self.transforms)
        if wanted is None:
            return None
        matching = [
            row
            for row in rows
            if all(self._bare(test, row) for test in join.where)
            and stepped(as_text(row[join.on.right.column]), join.on.right.steps, self.transforms) == wanted
        ]
        return self._first(matching, join.order) if matching else None

    def _cell(self, column: str, joined: Joined) -> str | None:
        alias, _, name = column.partition(".")
        row = joined[alias]
        return None if row is None else as_text(row[name])

    def _bare(self, test: Any, row: Row) -> bool:
        return holds(test, as_text(row[test.column]), self.tables, self.transforms)

    def _holds(self, test: Any, joined: Joined) -> bool:
        return holds(test, self._cell(test.column, joined), self.tables, self.transforms)

    def _record(self, joined: Joined, found: Evaluated, records: list[dict[str, Any]]) -> None:
        values = {name: self._value(name, joined, found) for name in self.contract.fields}
        key = values[self.contract.key].value
        problems = {name: value.problem for name, value in values.items() if value.problem is not None}
        for name, problem in problems.items():
            found.quarantined.append(
                Item(
                    "" if key is None else str(key),
                    values[name].source,
                    name,
                    problem.code,
                    problem.value_class,
                    problem.rule,
                )
            )
        if problems:
            found.claimed.append(key)
        else:
            alone = [name for name, value in values.items() if value.discarded]
            records.append({"key": key} | {name: value.value for name, value in values.items()} | {"left alone": alone})

    def _value(self, name: str, joined: Joined, found: Evaluated) -> _Value:
        rules = self.contract.fields[name]
        origin, source = self._origin(rules, joined)
        try:
            text = self._stepped(origin, rules)
        except TransformFailed:
            return self._invalid(name, source, origin, "NRM_TRANSFORM", "python")
        if text is None:
            return self._blank(name, source, origin)
        if rules.map is not None or rules.lookup is not None:
            mapped, is_unsure = self._mapped(rules, text)
            if mapped is None:
                found.unmapped[_asked(rules), text] += 1
                if rules.unmapped == "block":
                    found.blocked.add((name, "NRM_BLOCKED_UNMAPPED"))
                if is_unsure or not isinstance(rules.unmapped, DefaultValue):
                    code, rule = ("NRM_UNMAPPED", f"map: {rules.map}") if rules.map else ("NRM_LOOKUP", _told(rules))
                    return _Value(None, source, problem=_Problem(code, _class_of(origin), rule))
                mapped = rules.unmapped.default
            text = mapped
        value = formatted(text, rules.format, rules.date_formats)
        if value is None:
            return self._invalid(name, source, origin, "NRM_BAD_FORMAT", f"format: {rules.format}")
        if rules.values is not None and value not in rules.values:
            match rules.drift:
                case "freeze":
                    found.blocked.add((name, "NRM_SCHEMA_DRIFT"))
                case "discard_value":
                    return self._blank(name, source, origin, discarded=True)
                case "discard_row":
                    problem = _Problem("NRM_UNKNOWN_VALUE", _class_of(origin), "values")
                    return _Value(None, source, problem=problem)
                case "evolve":
                    pass
        if isinstance(value, str) and is_blank(value):
            return self._blank(name, source, origin)
        return _Value(value, source)

    def _invalid(self, name: str, source: str, origin: str | None, code: str, rule: str) -> _Value:
        if self.contract.fields[name].on_invalid == "discard_value":
            return self._blank(name, source, origin, discarded=True)
        return _Value(None, source, problem=_Problem(code, _class_of(origin), rule))

    def _blank(self, name: str, source: str, origin: str | None, *, discarded: bool = False) -> _Value:
        if name == self.contract.key:
            return _Value(None, source, problem=_Problem("NRM_MISSING_KEY", _class_of(origin), "key"))
        if self.contract.fields[name].required:
            return _Value(None, source, problem=_Problem("NRM_MISSING_REQUIRED", _class_of(origin), "required"))
        return _Value(None, source, discarded=discarded)

    def _mapped(self, rules: FieldContract, text: str) -> tuple[str | None, bool]:
        """The answer to an id, and whether the id is there and gives none; None for an id that is not there."""
        if is_blank(text):
            return None, False
        if rules.map is not None:
            entries = self.tables[rules.map].items()
            found = {code for entry, code in entries if self._stepped(entry, rules) == text}
            return (found.pop(), False) if len(found) == 1 else (None, False)
        assert rules.lookup is not None
        by, take = rules.lookup.by, rules.lookup.take
        rows = [row for row in self.lookups[rules.lookup.entity] if self._stepped(as_text(row[by]), rules) == text]
        taken = as_text(rows[0][take]) if len(rows) == 1 else None
        return (None, bool(rows)) if is_blank(taken) else (taken, False)

    def _stepped(self, text: str | None, rules: FieldContract) -> str | None:
        return None if is_blank(text) else steps_taken(text, rules.steps, self.transforms)

    def _origin(self, rules: FieldContract | Case, joined: Joined) -> tuple[str | None, str]:
        """The raw text of a field and the alias that it comes from; the first alias named where there is none."""
        if isinstance(rules, FieldContract) and rules.cases is not None:
            for case in rules.cases:
                if all(self._holds(test, joined) for test in case.when):
                    return self._origin(case, joined)
            return None, self.contract.origin.source
        if rules.constant is not None:
            return as_text(rules.constant), self.contract.origin.source
        if rules.concat is not None:
            return self._concatenated(rules.concat, joined)
        if rules.sources is None:
            return None, self.contract.origin.source
        for column in rules.sources:
            text = self._cell(column, joined)
            if not is_blank(text):
                return text, column.partition(".")[0]
        return None, rules.sources[0].partition(".")[0]

    def _concatenated(self, concat: Concat, joined: Joined) -> tuple[str | None, str]:
        parts: list[str] = []
        sources: list[str] = []
        there: list[str] = []
        for part in concat.parts:
            if isinstance(part, TextPart):
                parts.append(part.text)
                continue
            alias = part.column.partition(".")[0]
            sources.append(alias)
            text = stepped(self._cell(part.column, joined), part.steps, self.transforms)
            if text is not None:
                parts.append(text)
                there.append(alias)
        source = [*there, *sources, self.contract.origin.source][0]
        return (concat.separator.join(parts) if there else None), source

    def _settle(self, records: list[dict[str, Any]], found: Evaluated) -> None:
        """All records of a key that is claimed several times wait, the sound ones and those that wait anyway."""
        keys = [record["key"] for record in records] + [key for key in found.claimed if key is not None]
        claims = Counter(keys)
        found.records += [record for record in records if claims[record["key"]] == 1]
        source, name = self.contract.origin.source, self.contract.key
        for key in keys:
            if claims[key] > 1:
                item = Item(str(key), source, name, "MAT_DUPLICATE_KEY", _class_of(str(key)), "key is unique")
                found.quarantined.append(item)


def _class_of(text: str | None) -> str:
    return "blank" if text is None or is_blank(text) else f"text({len(text)})"


def _told(rules: FieldContract) -> str:
    assert rules.lookup is not None
    return f"lookup: {rules.lookup.entity}.{rules.lookup.by}"


def _asked(rules: FieldContract) -> str:
    return rules.map or (rules.lookup.entity if rules.lookup is not None else "")
