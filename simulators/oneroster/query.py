"""What a list request asks for beside its path: limit, offset, sort, fields, filter; and which records a filter keeps.

Pure. A filter is one comparison or two joined by one AND or OR (O13); what is beyond is refused with the
rule that it breaks.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulators.oneroster.rows import stamp_of

LIMIT_DEFAULT = 100
OFFSET_MAX = 10**12
FILTER_LENGTH_MAX = 2_000
_COMPARISON = re.compile(r"\s*([A-Za-z][A-Za-z0-9_.]*)\s*(!=|>=|<=|=|>|<|~)\s*'([^']*)'\s*")
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_LOGIC = re.compile(r"(AND|OR)\s")


class QueryError(Exception):
    """A query that breaks a rule; `minor` is the code that an error body gives."""

    def __init__(self, text: str, *, rule: str, minor: str) -> None:
        super().__init__(text)
        self.rule = rule
        self.minor = minor


@dataclass(frozen=True, slots=True)
class Comparison:
    """One `field predicate 'value'`."""

    name: str
    predicate: str
    value: str


@dataclass(frozen=True, slots=True)
class Query:
    """A well-formed list request."""

    limit: int
    offset: int
    sort: str | None
    is_descending: bool
    fields: tuple[str, ...] | None
    comparisons: tuple[Comparison, ...]
    is_any: bool
    """The comparisons are joined by OR."""


def parsed(
    asked: Mapping[str, str], *, known: frozenset[str], limit_max: int, caps_limit: bool, is_lenient: bool
) -> Query:
    """Read the query of a list request; `QueryError` names the rule it breaks."""
    limit = _whole_number(asked, "limit", default=LIMIT_DEFAULT, least=1)
    if limit > limit_max:
        if not caps_limit:
            raise QueryError(f"limit is {limit}, at most {limit_max} is allowed", rule="O10", minor="invaliddata")
        limit = limit_max
    offset = _whole_number(asked, "offset", default=0, least=0)
    sort = asked.get("sort")
    if sort is not None and not _is_known(sort, known):
        if not is_lenient:
            raise QueryError("sort names no field of these records", rule="O11", minor="invalid_sort_field")
        sort = None
    order = asked.get("orderBy", "asc")
    if order not in {"asc", "desc"}:
        raise QueryError("orderBy must be asc or desc", rule="O11", minor="invalid_sort_field")
    comparisons, is_any = (
        _filter(asked["filter"], known=known, is_lenient=is_lenient) if "filter" in asked else ((), False)
    )
    return Query(
        limit=limit,
        offset=offset,
        sort=sort,
        is_descending=order == "desc",
        fields=fields_of(asked, known=known, is_lenient=is_lenient),
        comparisons=comparisons,
        is_any=is_any,
    )


def fields_of(asked: Mapping[str, str], *, known: frozenset[str], is_lenient: bool) -> tuple[str, ...] | None:
    """Read which members are wanted; None for all (O12)."""
    if "fields" not in asked:
        return None
    names = tuple(name.strip() for name in asked["fields"].split(","))
    if not all(names):
        raise QueryError("fields holds an empty name", rule="O12", minor="invalid_selection_field")
    unknown = [name for name in names if name not in known]
    if unknown and not is_lenient:
        raise QueryError("fields names no field of these records", rule="O12", minor="invalid_selection_field")
    return tuple(name for name in names if name in known) or None


def keeps(query: Query, field: Callable[[str], Any]) -> bool:
    """Tell whether a record passes the filter; `field` gives its member of a dotted name."""
    verdicts = (_holds(each, field(each.name)) for each in query.comparisons)
    return any(verdicts) if query.is_any else all(verdicts)


def member(shown: Any, name: str) -> Any:
    """Find a member by its dotted name; below a list, the members of all its entries."""
    first, _, rest = name.partition(".")
    if isinstance(shown, list):
        return [member(each, name) for each in shown]
    value = shown.get(first) if isinstance(shown, dict) else None
    return member(value, rest) if rest else value


def _is_known(name: str, known: frozenset[str]) -> bool:
    return name.partition(".")[0] in known


def _whole_number(asked: Mapping[str, str], name: str, *, default: int, least: int) -> int:
    text = asked.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 13) or not least <= int(text) <= OFFSET_MAX:
        raise QueryError(f"{name} must be a whole number from {least}", rule="O9", minor="invaliddata")
    return int(text)


def _filter(text: str, *, known: frozenset[str], is_lenient: bool) -> tuple[tuple[Comparison, ...], bool]:
    if len(text) > FILTER_LENGTH_MAX:
        raise QueryError(f"filter has over {FILTER_LENGTH_MAX} characters", rule="O13", minor="invalid_filter_field")
    comparisons: list[Comparison] = []
    words: list[str] = []
    position = 0
    while True:  # at most twice: a second AND or OR is refused
        found = _COMPARISON.match(text, position)
        if found is None:
            raise QueryError("filter is not field, predicate and 'value'", rule="O13", minor="invalid_filter_field")
        comparisons.append(_comparison(*found.groups(), known=known, is_lenient=is_lenient))
        position = found.end()
        if position == len(text):
            break
        word = _LOGIC.match(text, position)
        if word is None:
            raise QueryError("comparisons are joined by AND or OR", rule="O13", minor="invalid_filter_field")
        words.append(word.group(1))
        if len(words) > 1:
            raise QueryError("filter has more than one AND or OR", rule="O13", minor="invalid_filter_field")
        position = word.end()
    return tuple(each for each in comparisons if _is_known(each.name, known)), words == ["OR"]


def _comparison(name: str, predicate: str, value: str, *, known: frozenset[str], is_lenient: bool) -> Comparison:
    if not _is_known(name, known) and not is_lenient:
        raise QueryError("filter names no field of these records", rule="O13", minor="invalid_filter_field")
    if name == "dateLastModified":
        moment = moment_of(value)
        if moment is None:
            raise QueryError(
                "dateLastModified is compared with a date or a UTC time that ends in Z", rule="O14", minor="invaliddata"
            )
        return Comparison(name, predicate, moment)
    return Comparison(name, predicate, value)


def moment_of(text: str) -> str | None:
    """Bring a date or a UTC time into the form of the records, so that texts compare as times."""
    try:
        if len(text) == len("2026-11-22"):
            return stamp_of(datetime.fromisoformat(text).replace(tzinfo=UTC))
        return stamp_of(datetime.fromisoformat(text)) if text.endswith("Z") else None
    except ValueError:
        return None


def _holds(comparison: Comparison, actual: Any) -> bool:
    if isinstance(actual, list):
        return _list_holds(comparison, [_text(each) for each in actual])
    if actual is None:
        return comparison.predicate == "!="
    left, right = _text(actual), comparison.value
    if comparison.predicate == "~":
        return right.lower() in left.lower()
    return _COMPARE[comparison.predicate](left, right)


def _list_holds(comparison: Comparison, actual: list[str]) -> bool:
    wanted = [each.strip() for each in comparison.value.split(",")]
    match comparison.predicate:
        case "=":
            return sorted(actual) == sorted(wanted)
        case "!=":
            return sorted(actual) != sorted(wanted)
        case "~":
            return any(each in actual for each in wanted)
        case _:
            return False


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
