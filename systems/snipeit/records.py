"""How Snipe-IT's records are read: what was escaped becomes plain, then rows and records by column. Pure.

Every text of a read shape is escaped for HTML (SYSTEMS 4.5 of the field notes; vendor's source code 8.1.4, read
2026-11-22), whatever it holds: `O&#039;Brien`. Taken as it comes, each run would find that somebody had changed it.
Exactly the five references that PHP's `e()` makes are undone, once; anything else in the text is the district's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.http.rows import FieldShape, Rows, record_of, rows_of
from shared.http.shape import Json, WrongShape
from shared.ports.wire import Value
from systems.snipeit.entities import CHECKOUTS, CUSTOM_COLUMNS, Form, SnipeField, columns_of, entity_of

_ESCAPED: Final = re.compile(r"&(?:amp|lt|gt|quot|#0?39|apos);")
_PLAIN: Final = {
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": '"',
    "&#039;": "'",
    "&#39;": "'",
    "&apos;": "'",
}
_DEPTH_MAX: Final = 12
"""Objects within each other that are looked through; no record of theirs has so many."""
_MONTHS: Final = re.compile(r"\s*([0-9]{1,6})\b.*", re.DOTALL)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?).*")
_AMOUNT: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?")


@dataclass(frozen=True)
class Dialect:
    """What one server's records look like beyond what all have in common."""

    decimal_comma: bool = False
    """Whether amounts are written 1.234,56 instead of 1,234.56."""
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    """The database columns of the custom fields, by the column that shows them."""


def plain(value: Json, depth: int = 0) -> Json:
    """The same value with every text unescaped once; text without a character is no value."""
    if isinstance(value, str):
        return _ESCAPED.sub(lambda found: _PLAIN[found[0]], value) if value else None
    if depth >= _DEPTH_MAX:
        return value
    if isinstance(value, dict):
        return {name: plain(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each, depth + 1) for each in value]
    return value


def page_of(entity: str, body: Json, *, dialect: Dialect) -> tuple[Rows, list[str], int]:
    """The rows that a page of a list holds, the ids of all its records and the total; `WrongShape` for another shape.

    For checkouts the rows are those of the records that are lent to a person; ids and total speak of all.
    """
    if not isinstance(body, dict):
        raise WrongShape("", "is no list with a total")
    total, items = body.get("total"), body.get("rows")
    if type(total) is not int or total < 0:
        raise WrongShape("/total", "is no number of records")
    if not isinstance(items, list):
        raise WrongShape("/rows", "is no list")
    ids = [_id_in(item, f"/rows/{index}/id") for index, item in enumerate(items)]
    tidied: Sequence[Json] = [tidy(plain(item), dialect=dialect) for item in items]
    if entity == CHECKOUTS:
        tidied = [lent for item in tidied if (lent := lent_to_person(item)) is not None]
    described = entity_of(entity)
    return rows_of(list(tidied), shapes_of(entity, dialect), pointer="/rows", ignored=described.ignored), ids, total


def row_of(entity: str, item: Json, *, dialect: Dialect) -> dict[str, Value] | None:
    """One record by its columns; None for one that is deleted, or for a checkout of nobody; else as `page_of`."""
    tidied = tidy(plain(item), dialect=dialect)
    if isinstance(tidied, dict) and tidied.get("deleted_at") is not None:
        return None  # deleted softly: the record is still shown, and no list has it
    if entity == CHECKOUTS:
        tidied = lent_to_person(tidied)
        if tidied is None:
            return None
    return record_of(tidied, shapes_of(entity, dialect))


def tidy(item: Json, *, dialect: Dialect) -> Json:
    """A record with one spelling for what releases spell differently, and custom fields by our columns."""
    if not isinstance(item, dict):
        return item
    tidied = dict(item)
    if isinstance(item.get("status"), dict):
        tidied["status_label"] = item["status"]  # the newer spelling; the older one is marked as going away
    if "custom_fields" in item:
        tidied["custom_fields"] = _custom(item["custom_fields"], dialect)
    return tidied


def is_archived(item: Json) -> bool:
    """Whether an asset's status is one of those that lists hide."""
    for name in ("status", "status_label"):
        label = item.get(name) if isinstance(item, dict) else None
        if isinstance(label, dict) and label.get("status_type") == "archived":
            return True
    return False


def lent_to_person(asset: Json) -> dict[str, Json] | None:
    """The checkout that an asset shows; None when it is free or lent to a place or another asset."""
    if not isinstance(asset, dict):
        raise WrongShape("", "is no record")
    holder = asset.get("assigned_to")
    if not isinstance(holder, dict) or holder.get("type") != "user":
        return None
    tag, number = asset.get("asset_tag"), holder.get("employee_number")
    return {
        "id": asset.get("id"),
        # Without both there is no key, and the checkout is nobody's business of ours.
        "checkout_key": f"{tag}/{number}" if tag is not None and number is not None else None,
        "asset_tag": tag,
        "user_id": holder.get("id"),
        "employee_num": number,
        "username": holder.get("username"),
    }


def shapes_of(entity: str, dialect: Dialect) -> Sequence[FieldShape]:
    """How each column of an entity is read."""
    kinds = {column.name: column.kind for column in columns_of(entity)}
    return [
        FieldShape(
            name=each.column,
            place=tuple(each.place.split("/")),
            kind=kinds[each.column],
            is_nullable=True,
            may_miss=each.may_miss,
            read=_reader(each, dialect),
        )
        for each in entity_of(entity).fields
    ]


def _reader(each: SnipeField, dialect: Dialect) -> Callable[[Json], Value]:
    if each.form == "amount":
        return lambda value: _amount(value, decimal_comma=dialect.decimal_comma)
    read = _READERS[each.form]
    return read if each.may_miss else lambda value: _present(read(value))


def _present(value: Value) -> Value:
    if value is None:
        raise ValueError("is blank, and may not be")
    return value


def _text(value: Json) -> Value:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"is no text but a {type(value).__name__}")


def _whole(value: Json) -> Value:
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return str(int(value)) if len(value) <= 18 else value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    raise ValueError("is no id")


def _months(value: Json) -> Value:
    """`36 months` and 36 are the same."""
    if value is None or value == "None":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    found = _MONTHS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is no number of months")
    return str(int(found[1]))


def _boolean(value: Json) -> Value:
    if value is None or isinstance(value, bool):
        return value
    if value in (0, 1, "0", "1"):
        return value in (1, "1")
    raise ValueError(f"is no boolean but a {type(value).__name__}")


def _dated(value: Json) -> Json:
    """The text of `{"date" or "datetime": …, "formatted": …}`."""
    return value.get("datetime", value.get("date")) if isinstance(value, dict) else value


def _date(value: Json) -> Value:
    text = _dated(value)
    if text is None:
        return None
    if not isinstance(text, str) or _DATE.match(text) is None:
        raise ValueError("is no date")
    return text[:10]


def _datetime(value: Json) -> Value:
    text = _dated(value)
    if text is None:
        return None
    found = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("is no date with a time")
    return f"{found[1]}T{found[2]}"


def _amount(value: Json, *, decimal_comma: bool) -> Value:
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.2f}"
    if isinstance(value, str):
        groups, decimal = (".", ",") if decimal_comma else (",", ".")
        text = value.strip().replace(groups, "").replace(decimal, ".")
        if _AMOUNT.fullmatch(text):
            return text
    raise ValueError("is no amount as digit_separator says that the server writes them")


_READERS: Final[Mapping[Form, Callable[[Json], Value]]] = {
    "text": _text,
    "id": _whole,
    "months": _months,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
}


def _id_in(item: Json, pointer: str) -> str:
    found = item.get("id") if isinstance(item, dict) else None
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise WrongShape(pointer, "is no id")
    return str(found)


def _custom(shown: Json, dialect: Dialect) -> dict[str, Json]:
    """Values of the custom fields that the connection names; they are shown by label, which people change."""
    by_field = {
        each.get("field"): each.get("value")
        for each in (shown.values() if isinstance(shown, dict) else ())
        if isinstance(each, dict)
    }
    return {column: by_field.get(dialect.custom_fields.get(column, "")) for column in CUSTOM_COLUMNS}
