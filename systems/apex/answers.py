"""What Apex's answers say: the records of its lists, and what became of each item of a write. Pure.

The same word can come under several statuses and in several shapes, so that what counts is each item's own code and
message. No text of an answer is ever told on: it may hold what a person is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from shared.http.rows import FieldShape, record_of
from shared.http.shape import Json, WrongShape
from shared.ports.wire import Value
from systems.apex.fields import (
    ACTIVE,
    CLASSROOM_ID,
    CLASSROOM_NAMES,
    COMPLETED_ON,
    ENROLLMENT_KEY,
    MEMBERSHIP_KEY,
    ORG_ID,
    PEOPLE,
    ROLE,
    STARTS_ON,
    STATUS,
    TARGET_ID,
    TEACHER_ID,
    USER_ID,
    enrollment_key,
    membership_key,
)

Meaning = Literal["done", "moved", "capacity", "refused", "doubtful"]

NO_RESULTS: Final = "results not found"
"""How the interface itself says that a record is not there; another 404 is a wrong address."""
ARCHIVED: Final = "archived"
WITHDRAWN: Final = "withdrawn"

_MOVED: Final = frozenset({"user already exist", "duplicate user", "user doesn't exist", "classroom already exist"})
_CAPACITY: Final = frozenset({"no available order"})


# --- items of a write -------------------------------------------------------------------------------------------------


def items_in(body: Json, *, heading: str | None) -> list[Mapping[str, Json]] | None:
    """The results in an answer, or the one result that it is; None when it holds none."""
    found: Json = None
    if isinstance(body, list):
        found = body
    elif isinstance(body, dict):
        names = [name for name in (heading, "Users") if name is not None and name in body]
        found = body[names[0]] if names else [body] if "Code" in body else None
    if not isinstance(found, list) or not all(isinstance(each, dict) and "Code" in each for each in found):
        return None
    return list(found)


def meaning_of(item: Mapping[str, Json]) -> Meaning:
    """What became of one item, by its message and its code."""
    said = plain_words(item.get("Message"))
    if said in _MOVED:
        return "moved"
    if said in _CAPACITY:
        return "capacity"
    code = item.get("Code")
    number = int(code) if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) <= 3 else code
    if isinstance(number, bool) or not isinstance(number, int):
        return "doubtful"
    if 200 <= number < 300:
        return "done"
    return "refused" if 400 <= number < 500 else "doubtful"


def id_name(place: str) -> str:
    """The field that tells the items of one request apart, in what is sent and in what is answered."""
    return "ImportClassroomId" if place == "classrooms" else "ImportUserId"


def plain_words(text: Json) -> str:
    """A message in small letters, with plain apostrophes and no stop, so that spelling decides nothing."""
    if not isinstance(text, str):
        return ""
    return text.replace("\u2019", "'").strip().rstrip(".!").lower()


def own_words(body: Json) -> str | None:
    """The message of an answer in which the interface itself speaks; None where something else does."""
    if isinstance(body, dict) and isinstance(said := body.get("message", body.get("Message")), str):
        return plain_words(said)
    return None


# --- records ----------------------------------------------------------------------------------------------------------


def membership_of_row(item: Json, kind: str, *, pointer: str) -> dict[str, Value]:
    """The record of one row of a list of people; `WrongShape` with the place of what is not as known."""
    shapes = (*_person_shapes(kind), _text("org", "ImportOrgId"), _text(ROLE, "Role"), _text("status", "RoleStatus"))
    found = record_of(item, shapes, pointer=pointer)
    return _membership(kind, found, found["org"], found[ROLE], found["status"], pointer=pointer)


def memberships_of_detail(item: Json, kind: str, *, pointer: str = "") -> list[dict[str, Value]]:
    """The records of one person asked for by id: one for each organisation."""
    found = record_of(item, _person_shapes(kind), pointer=pointer)
    organizations = item.get("Organizations") if isinstance(item, dict) else None
    if not isinstance(organizations, list):
        raise WrongShape(f"{pointer}/Organizations", "is no list")
    records = []
    for index, organization in enumerate(organizations):
        place = f"{pointer}/Organizations/{index}"
        role = (
            FieldShape(ROLE, ("Role", "Code"), "text", may_miss=True, read=_text_of),
            FieldShape("status", ("Role", "Status"), "text", may_miss=True, read=_text_of),
        )
        told = record_of(organization, (_text("org", "ImportOrgId"), *role), pointer=place)
        records.append(_membership(kind, found, told["org"], told[ROLE], told["status"], pointer=place))
    return records


def classroom_of(item: Json, *, pointer: str = "") -> dict[str, Value]:
    """The record of a classroom; its teacher's id is not told."""
    readers: Mapping[str, Callable[[Json], Value]] = {"product_codes": _codes_of, STARTS_ON: _date_of}
    shapes = [
        _needed(CLASSROOM_ID, "ImportClassroomId"),
        *(
            FieldShape(name, (there,), "text", may_miss=True, read=readers.get(name, _text_of))
            for name, there in CLASSROOM_NAMES.items()
        ),
        _text("primary_teacher", "PrimaryTeacher"),
        _text(STATUS, "ClassroomStatus"),
    ]
    found = record_of(item, shapes, pointer=pointer)
    return {TARGET_ID: found[CLASSROOM_ID], TEACHER_ID: None, **found}


def enrollment_in(item: Json, user_id: str, *, pointer: str) -> dict[str, Value]:
    """The record of one row of a student's classrooms, also of one that was withdrawn."""
    shapes = (
        _needed(CLASSROOM_ID, "ImportClassroomId"),
        _text(ORG_ID, "ImportOrgId"),
        _needed(STATUS, "EnrollmentStatus"),
        FieldShape(COMPLETED_ON, ("CompletedDate",), "date", may_miss=True, read=_date_of),
    )
    found = record_of(item, shapes, pointer=pointer)
    key = enrollment_key(str(found[CLASSROOM_ID]), user_id)
    return {TARGET_ID: key, ENROLLMENT_KEY: key, USER_ID: user_id, **found}


def is_withdrawn(enrollment: Mapping[str, Value]) -> bool:
    """Whether an enrolment is over without having been completed: then it is none."""
    return plain_words(enrollment[STATUS]) == WITHDRAWN


def columns_from(records: Sequence[Mapping[str, Value]], names: Sequence[str]) -> dict[str, list[Value]]:
    """Records turned into columns."""
    return {name: [record[name] for record in records] for name in names}


def _person_shapes(kind: str) -> list[FieldShape]:
    names = PEOPLE[kind].names
    return [_needed(USER_ID, "ImportUserId"), *(_text(name, there) for name, there in names.items())]


def _membership(
    kind: str, person: Mapping[str, Value], org_id: Value, role: Value, status: Value, *, pointer: str
) -> dict[str, Value]:
    if not isinstance(org_id, str):
        raise WrongShape(f"{pointer}/ImportOrgId", "is missing or blank")
    key = membership_key(org_id, str(person[USER_ID]))
    fields = {name: person[name] for name in PEOPLE[kind].names}
    return {
        TARGET_ID: key,
        MEMBERSHIP_KEY: key,
        USER_ID: person[USER_ID],
        ORG_ID: org_id,
        **fields,
        ROLE: role,
        ACTIVE: plain_words(status) != ARCHIVED,
    }


def _text(name: str, there: str) -> FieldShape:
    return FieldShape(name, (there,), "text", may_miss=True, read=_text_of)


def _needed(name: str, there: str) -> FieldShape:
    return FieldShape(name, (there,), "text", read=_needed_text_of)


def _text_of(value: Json) -> str | None:
    """Blank is nothing: an emptied field is read as one that was never filled."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"is no text but a {type(value).__name__}")
    return str(value)


def _needed_text_of(value: Json) -> str:
    text = _text_of(value)
    if text is None:
        raise ValueError("is blank, and tells the record")
    return text


def _codes_of(value: Json) -> str | None:
    if not isinstance(value, list):
        return _text_of(value)
    return ",".join(sorted(text for each in value if (text := _text_of(each)) is not None)) or None


def _date_of(value: Json) -> str | None:
    """The day of "Wed, 17 Aug 2022 08:30:09 GMT"."""
    text = _text_of(value)
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text).date().isoformat()
    except (ValueError, OverflowError, IndexError, TypeError):
        raise ValueError("is no date as RFC 1123 writes it") from None
