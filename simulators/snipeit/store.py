"""The rows of a simulated Snipe-IT: tables with indexes, read from a seed and described as one.

Knows nothing of HTTP and asks nothing of the rules of one resource. A row is replaced, never changed in place. Soft
deletion is a column: a deleted row stays in its table, out of the lists and out of what must be unique.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from simulators.snipeit.columns import CUSTOM_PREFIX, TABLES, Column, TableRules
from simulators.snipeit.values import coerced

ROWS_MAX = 2_000_000

Row = dict[str, Any]
_CUSTOM = Column()


def folded(value: Any) -> Any:
    """A value as the database compares it: text without regard to case."""
    return value.casefold() if isinstance(value, str) else value


class Table:
    """The rows of one resource by id, with indexes over the columns that name or refer."""

    def __init__(self, rules: TableRules) -> None:
        self.rules = rules
        self.rows: dict[int, Row] = {}
        self.ids: list[int] = []
        """Every id, deleted rows included, ascending."""
        self.live_ids: list[int] = []
        self._index: dict[str, dict[Any, dict[int, None]]] = {name: {} for name in rules.indexed}
        self._hay: dict[int, str] = {}

    def get(self, row_id: int) -> Row | None:
        """Find a row, deleted or not."""
        return self.rows.get(row_id)

    def get_live(self, row_id: int) -> Row | None:
        """Find an undeleted row."""
        row = self.rows.get(row_id)
        return row if row is not None and row["deleted_at"] is None else None

    def find(self, name: str, value: Any) -> list[int]:
        """The ids of all rows whose indexed column holds this value, ascending, deleted ones included."""
        return sorted(self._index[name].get(folded(value), ()))

    def find_live(self, name: str, value: Any) -> list[Row]:
        """The undeleted rows whose indexed column holds this value, in the order of their ids."""
        return [row for row_id in self.find(name, value) if (row := self.get_live(row_id)) is not None]

    def next_id(self) -> int:
        """The id of the next new row; ids are never used again because no row ever leaves."""
        return self.ids[-1] + 1 if self.ids else 1

    def put(self, row: Row) -> None:
        """Add a row, or put it in place of the one with its id."""
        row_id: int = row["id"]
        old = self.rows.get(row_id)
        if old is None:
            insort(self.ids, row_id)
        if (old is not None and old["deleted_at"] is None) != (row["deleted_at"] is None):
            if row["deleted_at"] is None:
                insort(self.live_ids, row_id)
            else:
                self._drop_live(row_id, was_there=old is not None)
        for name, index in self._index.items():
            before, after = (folded(old[name]) if old is not None else None), folded(row[name])
            if before == after and old is not None:
                continue
            if before is not None:
                del index[before][row_id]
            if after is not None:
                index.setdefault(after, {})[row_id] = None
        self.rows[row_id] = row
        self._hay.pop(row_id, None)

    def hay(self, row_id: int) -> str:
        """All the text of a row that a search looks through, folded; made once per version of the row."""
        hay = self._hay.get(row_id)
        if hay is None:
            row = self.rows[row_id]
            texts = [row[name] or "" for name in self.rules.searched]
            texts += [str(value) for name, value in row.items() if name.startswith(CUSTOM_PREFIX) and value]
            if "first_name" in row:
                texts.append(f"{row['first_name'] or ''} {row['last_name'] or ''}")
            hay = self._hay[row_id] = "\n".join(texts).casefold()
        return hay

    def taken(self, row: Mapping[str, Any]) -> str | None:
        """The column whose value another undeleted row has although it must be unique."""
        if row["deleted_at"] is not None:
            return None
        for names in self.rules.unique:
            first = names[0]
            if row[first] is None:
                continue
            wanted = [folded(row[name]) for name in names]
            for other_id in self._index[first].get(folded(row[first]), ()) if first in self._index else self.live_ids:
                other = self.rows[other_id]
                if other_id == row["id"] or other["deleted_at"] is not None:
                    continue
                if [folded(other[name]) for name in names] == wanted:
                    return first
        return None

    def _drop_live(self, row_id: int, *, was_there: bool) -> None:
        if was_there:
            del self.live_ids[bisect_left(self.live_ids, row_id)]


class Store:
    """All tables, and a count of the writes by which a cached list knows that it is old."""

    def __init__(self) -> None:
        self.tables = {name: Table(rules) for name, rules in TABLES.items()}
        self.version = 0

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    def put(self, name: str, row: Row) -> None:
        """Write a row, and make every cached list old."""
        self.tables[name].put(row)
        self.version += 1

    def has_live(self, name: str, row_id: int) -> bool:
        """Whether a table has this row undeleted."""
        return self.tables[name].get_live(row_id) is not None

    def assets_of(self, kind: str, holder_id: int) -> list[Row]:
        """The undeleted assets that a user, a location or an asset has, in the order of their ids."""
        assets = self.tables["hardware"].find_live("assigned_to", holder_id)
        return [asset for asset in assets if asset["assigned_type"] == kind]

    def custom_columns(self, model_id: int | None) -> list[Row]:
        """The custom fields of a model."""
        model = self.tables["models"].get(model_id) if model_id is not None else None
        fields = self.tables["fields"]
        return [field for field_id in (model or {}).get("field_ids", ()) if (field := fields.get_live(field_id))]

    def document(self) -> dict[str, Any]:
        """Describe the whole state; `from_document` reads it back."""
        return {name: [table.rows[row_id] for row_id in table.ids] for name, table in self.tables.items()}

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, now: datetime) -> Self:
        """Build the state; what the vendor could not hold is refused with its place."""
        unknown = document.keys() - TABLES.keys()
        if unknown:
            raise ValueError(f"state: {', '.join(sorted(unknown))} is no table; there are {', '.join(TABLES)}")
        store = cls()
        given: dict[str, list[Row]] = {}
        for name, rules in TABLES.items():
            given[name] = _rows(name, document.get(name, []), rules=rules, stamp=now.strftime("%Y-%m-%d %H:%M:%S"))
        # A row may still refer to one that was deleted after it.
        known = {name: {row["id"] for row in rows} for name, rows in given.items()}
        for name, rows in given.items():
            _fill(store.tables[name], name, rows, known=known)
        for asset in store["hardware"].rows.values():
            _check_holder(store, asset, place=f"hardware[id {asset['id']}]")
        return store


def _rows(name: str, items: Any, *, rules: TableRules, stamp: str) -> list[Row]:
    if not isinstance(items, list) or len(items) > ROWS_MAX:
        raise ValueError(f"{name}: a list of at most {ROWS_MAX} rows")
    defaults = {column: rule.default for column, rule in rules.columns.items()}
    stamps = {"created_at": stamp, "updated_at": stamp}
    seen: set[int] = set()
    rows = []
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            raise ValueError(f"{name}[{position}]: not an object")
        row_id = item.get("id", position + 1)
        if not isinstance(row_id, int) or isinstance(row_id, bool) or row_id < 1 or row_id in seen:
            raise ValueError(f"{name}[{position}].id: {row_id!r} is taken, or is no whole number from 1")
        seen.add(row_id)
        rows.append(defaults | stamps | item | {"id": row_id})
    return sorted(rows, key=lambda row: int(row["id"]))


def _fill(table: Table, name: str, rows: Sequence[Row], *, known: Mapping[str, set[int]]) -> None:
    def has_row(other: str, row_id: int) -> bool:
        return row_id in known[other]

    columns = table.rules.columns
    for row in rows:
        place = f"{name}[id {row['id']}]"
        for column_name, value in row.items():
            column = columns.get(column_name)
            if column is None:
                if name != "hardware" or not column_name.startswith(CUSTOM_PREFIX):
                    raise ValueError(f"{place}.{column_name}: there is no such column")
                column = _CUSTOM
            if value is not column.default:
                try:
                    row[column_name] = coerced(column_name, value, column=column, has_row=has_row)
                except ValueError as error:
                    raise ValueError(f"{place}.{column_name}: {error}") from None
        missing = [each for each in table.rules.required if row[each] is None]
        if missing:
            raise ValueError(f"{place}.{missing[0]}: is required")
        twice = table.taken(row)
        if twice is not None:
            raise ValueError(f"{place}.{twice}: {row[twice]!r} belongs to another undeleted row")
        table.put(row)


def _check_holder(store: Store, asset: Row, *, place: str) -> None:
    kind, holder_id = asset["assigned_type"], asset["assigned_to"]
    if (kind is None) != (holder_id is None):
        raise ValueError(f"{place}: assigned_type and assigned_to go together")
    if kind is not None and store[HOLDERS[kind]].get(holder_id) is None:
        raise ValueError(f"{place}.assigned_to: there is no {kind} {holder_id}")


HOLDERS = {"user": "users", "location": "locations", "asset": "hardware"}
"""The table of each kind of holder of an asset."""
