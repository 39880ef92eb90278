"""Which rows a list request asks for, in which order, and which of them stand on one page.

The order of rows with equal sort values is not fixed, as in a database: on each page they stand turned by the page's
offset, so a walk that is not sorted by `id` meets some rows twice and others never. A list is computed once and kept
until a write, so that a page costs a page.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulators.snipeit.columns import CUSTOM_PREFIX, Kind
from simulators.snipeit.store import Row, Store, Table, folded
from simulators.snipeit.switches import SnipeSwitches

LISTS_KEPT_MAX = 16
PAGING = frozenset({"limit", "offset", "sort", "order"})
_FLAGS = {"1": True, "true": True, "0": False, "false": False}

Test = Callable[[Row], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The ids of a whole list in order; ties of equal sort values are the stretches between `starts`."""

    ids: Sequence[int]
    starts: Sequence[int] | None = None
    """Where each stretch of equal sort values begins; None where no two are equal."""

    def __len__(self) -> int:
        return len(self.ids)

    def page(self, window: slice, *, has_unstable_ties: bool) -> list[int]:
        """The ids at these positions as this page shows them."""
        if self.starts is None or not has_unstable_ties:
            return list(self.ids[window])
        found = []
        for position in range(window.start, min(window.stop, len(self.ids))):
            at = bisect_right(self.starts, position)
            start = self.starts[at - 1]
            length = (self.starts[at] if at < len(self.starts) else len(self.ids)) - start
            found.append(self.ids[start + (position - start + window.start) % length])
        return found


class Lists:
    """The lists of one store, each computed once per version of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = -1
        self._kept: OrderedDict[str, Listing] = OrderedDict()

    def listing(self, name: str, query: Mapping[str, str], *, switches: SnipeSwitches) -> Listing:
        """The whole list that a request asks for, whatever page of it."""
        table = self._store[name]
        if self._version != self._store.version:
            self._kept.clear()
            self._version = self._store.version
        asked = {key: value for key, value in query.items() if key not in {"limit", "offset", "page"}}
        kept_as = json.dumps([name, sorted(asked.items()), switches.shows_archived, switches.is_newer])
        if kept_as in self._kept:
            self._kept.move_to_end(kept_as)
            return self._kept[kept_as]
        listing = self._computed(name, table, asked, switches=switches)
        self._kept[kept_as] = listing
        if len(self._kept) > LISTS_KEPT_MAX:
            self._kept.popitem(last=False)
        return listing

    def _computed(self, name: str, table: Table, query: Mapping[str, str], *, switches: SnipeSwitches) -> Listing:
        ids = self._narrowed(name, table, query, switches=switches)
        sort = sort_column(name, table, query)
        descending = query.get("order") != "asc"
        if sort == "id":
            return Listing(ids=ids[::-1] if descending else ids)
        rows = table.rows
        keys = {row_id: _sort_key(rows[row_id].get(sort)) for row_id in ids}
        ordered = sorted(ids, key=keys.__getitem__, reverse=descending)
        starts = [at for at, row_id in enumerate(ordered) if at == 0 or keys[ordered[at - 1]] != keys[row_id]]
        return Listing(ids=ordered, starts=starts if len(starts) < len(ordered) else None)

    def _narrowed(self, name: str, table: Table, query: Mapping[str, str], *, switches: SnipeSwitches) -> Sequence[int]:
        base, tests = self._base(name, table, query, switches=switches)
        candidates: list[int] | None = None
        for column in narrowing(name, table, query):
            value = query[column]
            if column in table.rules.indexed:
                wanted = int(value) if _is_number_column(table, column) and value.isdigit() else value
                found = table.find(column, wanted)
                candidates = found if candidates is None or len(found) < len(candidates) else candidates
            tests.append(self._test(name, table, column, value))
        for column, value in _filter_object(query).items():
            if column in table.rules.columns or column.startswith(CUSTOM_PREFIX):
                tests.append(_contains(column, str(value).casefold()))
        needle = query.get("search", "").casefold()
        if needle:
            tests.append(lambda row: needle in table.hay(row["id"]))
        if not tests:
            return base
        if candidates is not None:
            # `base` may be a hundred thousand ids; whether a row belongs to it is quicker asked of the row.
            is_deleted, is_any = base is not table.live_ids, base is table.ids
            ids: Iterable[int] = (
                each for each in candidates if is_any or (table.rows[each]["deleted_at"] is not None) == is_deleted
            )
        else:
            ids = base
        return [row_id for row_id in ids if all(test(table.rows[row_id]) for test in tests)]

    def _base(
        self, name: str, table: Table, query: Mapping[str, str], *, switches: SnipeSwitches
    ) -> tuple[Sequence[int], list[Test]]:
        """The rows that a list is made of before anything narrows it: live, deleted, or both."""
        tests: list[Test] = []
        if name == "users" and _is_true(query.get("all")):
            return table.ids, tests
        status = query.get("status", "") if name == "hardware" else ""
        wants_deleted = (name == "users" and _is_true(query.get("deleted"))) or status == "Deleted"
        if wants_deleted:
            return [row_id for row_id in table.ids if table.rows[row_id]["deleted_at"] is not None], tests
        if name == "hardware":
            tests += self._status_tests(status, query, switches=switches)
        return table.live_ids, tests

    def _status_tests(self, status: str, query: Mapping[str, str], *, switches: SnipeSwitches) -> list[Test]:
        labels = self._store["statuslabels"].rows.values()

        def of_type(kind: str) -> set[int]:
            return {label["id"] for label in labels if label["type"] == kind}

        deployable, archived = of_type("deployable"), of_type("archived")
        kinds: dict[str, Test] = {
            "RTD": lambda row: row["assigned_to"] is None and row["status_id"] in deployable,
            "Deployed": lambda row: row["assigned_to"] is not None,
            "Requestable": lambda row: row["requestable"] and row["status_id"] in deployable,
            "byod": lambda row: row["byod"],
        }
        if status in kinds:
            return [kinds[status]]
        if status in {"Pending", "Undeployable", "Archived"}:
            wanted = of_type(status.lower())
            return [lambda row: row["status_id"] in wanted]
        is_any_archived = any(self._store["hardware"].find("status_id", label_id) for label_id in archived)
        if "status_id" in query or switches.shows_archived or not is_any_archived:
            return []
        return [lambda row: row["status_id"] not in archived]

    def _test(self, name: str, table: Table, column: str, value: str) -> Test:
        if column in table.rules.counts:
            return lambda row: str(count_of(self._store, row, column)) == value
        if column == "group_id":
            return lambda row: value in {str(each) for each in row["groups"]}
        if name == "hardware" and column in {"category_id", "manufacturer_id"}:
            models = {model["id"] for model in self._store["models"].rows.values() if str(model[column]) == value}
            return lambda row: row["model_id"] in models
        kind = table.rules.columns[column].kind if column in table.rules.columns else Kind.TEXT
        if kind is Kind.FLAG:
            flag = _FLAGS.get(value.lower())
            return lambda row: row[column] is flag
        wanted = value.casefold()
        if column == "assigned_type":
            wanted = wanted.rpartition("\\")[2]  # the vendor's own spelling is App\Models\User
        return lambda row: row.get(column) is not None and str(row[column]).casefold() == wanted


def narrowing(name: str, table: Table, query: Mapping[str, str]) -> list[str]:
    """The parameters of a list request that filter it by a column."""
    more: Collection[str] = ()
    if name == "users":
        more = ("group_id", *table.rules.counts)
    elif name == "hardware":
        more = ("category_id", "manufacturer_id")
    return [
        key
        for key, value in query.items()
        if value != "" and (key in table.rules.columns or key in more or key.startswith(CUSTOM_PREFIX))
    ]


def is_known_parameter(name: str, table: Table, key: str) -> bool:
    """Whether a list request takes this parameter; the vendor ignores others without a word."""
    own = {"users": {"all", "deleted"}, "hardware": {"status"}}.get(name, set())
    return key in PAGING or key in {"search", "filter"} | own or bool(narrowing(name, table, {key: "x"}))


def sort_column(name: str, table: Table, query: Mapping[str, str]) -> str:
    """The column a list is sorted by: the one asked for, or the default where that is none."""
    asked = query.get("sort", "")
    if name == "hardware" and asked.startswith(CUSTOM_PREFIX):
        return asked
    column = table.rules.columns.get(asked)
    is_sortable = column is not None and column.kind not in {Kind.REFS, Kind.MAP}
    return asked if is_sortable else table.rules.sort_default


def count_of(store: Store, row: Row, count: str) -> int:
    """One of the counts of a user."""
    match count:
        case "assets_count":
            return len(store.assets_of("user", row["id"]))
        case "manages_users_count":
            return len(store["users"].find_live("manager_id", row["id"]))
        case "manages_locations_count":
            return len(store["locations"].find_live("manager_id", row["id"]))
        case _:
            return int(row[count])


def limit_and_offset(query: Mapping[str, str], *, rows_max: int) -> tuple[int, int]:
    """The page a request asks for; what is not a number, zero or too much becomes the maximum, as the vendor has it."""
    limit, offset = _number(query.get("limit")), _number(query.get("offset"))
    return (limit if 0 < limit <= rows_max else rows_max), offset


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 15 else 0


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in {"true", "1"}


def _is_number_column(table: Table, column: str) -> bool:
    return table.rules.columns[column].kind in {Kind.REF, Kind.NUMBER}


def _filter_object(query: Mapping[str, str]) -> dict[str, Any]:
    try:
        found = json.loads(query.get("filter") or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _contains(column: str, needle: str) -> Test:
    return lambda row: needle in str(row.get(column) or "").casefold()


def _sort_key(value: Any) -> tuple[bool, Any]:
    # Nulls come first, as in MySQL; numbers, text and lists never meet in one column.
    return value is not None, folded(value) if value is not None else 0
