"""How Aeries's records look on the wire, both ways. Pure: values in, values out.

`rows_of` and `record_of` read what the other side sends; `AeriesWire` makes the one write of a change of staff. Aeries
leaves unchanged what a write leaves out or sends as null, and empties what it sends as empty text. The date of leaving
is the exception: left out, it is emptied, and the leaver is back. So no change is made here without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Final

from pydantic import JsonValue

from shared.errors import StopRun
from shared.http import rows
from shared.http.rows import Rows
from shared.http.shape import Json, WrongShape
from shared.ports.wire import ChangeVerb, Record, Value, WireWrite
from systems.aeries_api.config import API
from systems.aeries_api.entities import (
    MEMBERS,
    ROSTERS,
    SECTIONS,
    STAFF,
    TERMS_OF_SCHOOL,
    AeriesEntity,
    entity_of,
)

STAFF_PATH: Final = f"{API}/staff"
LEAVE_DATE: Final = "leave_date"
STAFF_ID: Final = re.compile(r"[1-9][0-9]{0,9}")
_READ_ONLY: Final = frozenset({"user_name"})
_WRITABLE: Final = {shape.name: shape for shape in STAFF.shapes if shape.name not in _READ_ONLY}
_STAFF_PROPERTIES: Final = tuple(shape.place[0] for shape in STAFF.shapes)
FILTERED: Final = frozenset('"<>')
"""Characters that Aeries takes out of every text, without a word."""
_DATE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,7})?)?")
_NO_DATE: Final = "0001-"
"""An older version's way to say that there is no date."""
DATES_REMEMBERED_MAX: Final = 16_384


def build_wire() -> AeriesWire:
    """The encoder of writes."""
    return AeriesWire()


class AeriesWire:
    """How a change of staff looks; see `shared.ports.wire.Wire`."""

    def write_for(self, entity: str, *, verb: ChangeVerb, target_id: str | None, values: Record) -> WireWrite:
        """The one write that makes the given canonical values so."""
        if entity_of(entity) is not STAFF:
            raise StopRun("APL_INTERNAL", f"entity {entity}: cannot be written; only staff can")
        if (target_id is None) != (verb == "create"):
            raise StopRun(
                "APL_INTERNAL", f"entity {entity}: {verb} {'needs a' if target_id is None else 'takes no'} target id"
            )
        if target_id is None:
            # Not PUT, which would overwrite whoever has that id already.
            return WireWrite("POST", STAFF_PATH, _body({k: v for k, v in values.items() if v is not None}))
        if verb == "delete":
            raise StopRun("APL_INTERNAL", f"entity {entity}: Aeries deletes no staff; correct the contract's removal")
        if LEAVE_DATE not in values:
            text = f"entity {entity}: {LEAVE_DATE} must go with every change, or Aeries empties it; add it as a field"
            raise StopRun("APL_INTERNAL", text)
        if "id" in values:
            raise StopRun("APL_INTERNAL", f"entity {entity}: field id cannot be changed; correct the contract")
        return WireWrite("PUT", staff_path(target_id), _body(values))


def staff_path(target_id: str) -> str:
    """Where one member of staff lies; `StopRun` for what is no id of staff."""
    if STAFF_ID.fullmatch(target_id) is None:
        raise StopRun("APL_INTERNAL", "entity staff: the target id is no number of staff in Aeries")
    return f"{STAFF_PATH}/{target_id}"


def staff_id_in(path: str) -> str | None:
    """The id at the end of such a path; None for any other path."""
    head, _, target_id = path.rpartition("/")
    return target_id if head == STAFF_PATH and STAFF_ID.fullmatch(target_id) else None


def filtered_in(body: Mapping[str, JsonValue]) -> Sequence[str]:
    """The properties whose text holds characters that Aeries would take out."""
    return [name for name, value in body.items() if isinstance(value, str) and not FILTERED.isdisjoint(value)]


def named_in(message: str) -> Sequence[str]:
    """The properties of staff that a message names; nothing else of it is told, for it may hold values."""
    words = set(re.findall(r"[A-Za-z]+", message))
    return [name for name in _STAFF_PROPERTIES if name in words]


def records_in(body: Json) -> list[Json]:
    """The records of an answer: a list, or one alone, which Aeries sends in either form."""
    return body if isinstance(body, list) else [body]


def written_id_in(body: Json) -> str:
    """The number of the one record that a write shows; `WrongShape` when it shows none or several."""
    items = records_in(body)
    found = items[0].get("ID") if len(items) == 1 and isinstance(items[0], dict) else None
    if type(found) is not int or STAFF_ID.fullmatch(str(found)) is None:
        raise WrongShape("/ID", "is no number of staff")
    return str(found)


def rows_of(items: list[Json], entity: AeriesEntity, *, term_ends: str | None = None) -> Rows:
    """Records as columns; `WrongShape` with the JSON pointer of what is not as agreed.

    `term_ends` is the last day of the term of a roster's section; None when it is not known.
    """
    read = rows.rows_of(items, entity.shapes, pointer="", ignored=entity.ignored)
    columns = dict(read.columns)
    for shape in entity.shapes:
        values = columns[shape.name]
        if shape.kind == "text":
            columns[shape.name] = [value.rstrip(" ") if isinstance(value, str) else value for value in values]
        elif shape.kind == "date":
            columns[shape.name] = _dates(values, place=shape.place[0])
    for name, parts in entity.joined.items():
        columns[name] = [_joined(part) for part in zip(*(columns[one] for one in parts), strict=True)]
    if entity.has_status:
        columns["is_active"] = [not code for code in columns["inactive_code"]]
    if entity is SECTIONS:
        _put_staff(columns, items)
    if entity is ROSTERS:
        # Who is in the section today has the end of its term there, and not nothing.
        columns["is_current"] = [
            ended is None or term_ends is None or str(ended) >= term_ends for ended in columns["end_date"]
        ]
    return replace(read, columns=columns)


def record_of(item: Json, entity: AeriesEntity) -> dict[str, Value]:
    """One record, as a list shows it."""
    read = rows_of([item], entity)
    return {column.name: read.columns[column.name][0] for column in entity.columns}


def members_of(items: list[Json]) -> list[Json]:
    """The staff of sections, each with its section's school and number."""
    found: list[Json] = []
    for index, item in enumerate(items):
        for member in _members(item, index):
            assert isinstance(item, dict)  # noqa: S101 - `_members` has seen to it
            found.append({name: item.get(name) for name in ("SchoolCode", "SectionNumber")} | member)
    return found


def student_in(item: Json) -> tuple[object, ...]:
    """What tells a student's record from the others of its school; nothing is asked of its form here."""
    return (item.get("StudentNumber"), item.get("StudentID")) if isinstance(item, dict) else (None,)


def terms_of(items: list[Json]) -> list[Json]:
    """The terms of schools, each with its school's code."""
    found: list[Json] = []
    for item in items:
        if isinstance(item, dict):
            terms = item.get(TERMS_OF_SCHOOL) or []
            found += [
                {"SchoolCode": item.get("SchoolCode"), **(term if isinstance(term, dict) else {})}
                for term in records_in(terms)
            ]
    return found


def _members(item: Json, index: int) -> list[dict[str, Json]]:
    members = item.get(MEMBERS) if isinstance(item, dict) else None
    if members is None:
        raise WrongShape(f"/{index}/{MEMBERS}", "is missing")
    found: list[dict[str, Json]] = []
    for place, member in enumerate(records_in(members)):
        if not isinstance(member, dict) or type(member.get("StaffID")) is not int:
            raise WrongShape(f"/{index}/{MEMBERS}/{place}/StaffID", "is no number of staff")
        found.append(member)
    return found


def _put_staff(columns: dict[str, list[Value]], items: list[Json]) -> None:
    teachers: list[Value] = []
    staff: list[Value] = []
    for index, item in enumerate(items):
        present = [
            member for member in _members(item, index) if not str(member.get("InactiveStatusCode") or "").strip()
        ]
        primary = sorted((member for member in present if member.get("IsPrimaryTeacher") is True), key=_rank)
        teachers.append(primary[0]["StaffID"] if primary else None)  # type: ignore[arg-type] # `_members` has looked
        staff.append(",".join(map(str, sorted({int(str(member["StaffID"])) for member in present}))))
    columns["teacher_staff_id"], columns["staff_ids"] = teachers, staff


def _rank(member: Mapping[str, Json]) -> tuple[bool, int, int]:
    """Still there before ended, ended last before ended first, lower ids first."""
    ended = _date_of(str(member.get("EndDate") or _NO_DATE))
    days = date.fromisoformat(ended).toordinal() if ended is not None else 0
    return ended is not None, -days, int(str(member["StaffID"]))


def _joined(parts: Sequence[Value]) -> str:
    return "/".join("" if part is None else str(part) for part in parts)


def _dates(values: Sequence[Value], *, place: str) -> list[Value]:
    found: list[Value] = []
    for index, value in enumerate(values):
        try:
            found.append(None if value is None else _date_of(str(value)))
        except ValueError:
            raise WrongShape(f"/{index}/{place}", "is no date") from None
    return found


@lru_cache(maxsize=DATES_REMEMBERED_MAX)
def _date_of(text: str) -> str | None:
    """The day of a naive local time; None for a day of the year 1."""
    if text.startswith(_NO_DATE):
        return None
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("is no date")
    return date.fromisoformat(match[1]).isoformat()


def _body(values: Record) -> dict[str, JsonValue]:
    body: dict[str, JsonValue] = {}
    for name, value in values.items():
        shape = _WRITABLE.get(name)
        if shape is None:
            raise StopRun("APL_INTERNAL", f"entity staff: field {name} cannot be sent; correct the contract")
        body[shape.place[0]] = _sent(name, shape.kind, value)
    return body


def _sent(name: str, kind: str, value: Value) -> JsonValue:
    if value is None and (kind == "text" or name == LEAVE_DATE):
        return None if name == LEAVE_DATE else ""
    if kind == "text" and isinstance(value, str):
        return value
    if kind == "integer" and str(value).isascii() and str(value).isdigit():
        return int(str(value))
    if kind == "date" and isinstance(value, str) and _is_date(value):
        return f"{value[:10]}T00:00:00"
    what = "be emptied" if value is None else f"be sent as {type(value).__name__}"
    raise StopRun("APL_INTERNAL", f"entity staff: field {name} is {kind} and cannot {what}; correct the contract")


def _is_date(text: str) -> bool:
    try:
        return _date_of(text) is not None
    except ValueError:
        return False
