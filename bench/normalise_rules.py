"""The contract that the measurement of normalising carries out, and the same rules as plain functions over one row.

The plain functions are written apart from the normaliser, so that its result can be checked against theirs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bench.people import GENDERS, ROLES, SITES
from services.extractor.normalise import Rules
from shared.contract.model import EntityContract
from shared.contract.tables import MappingTable

_NAME = ["trim", "collapse_whitespace", "nfc"]
_DATES = ["%m/%d/%Y", "%Y-%m-%d"]
_FULL_NAME = {
    "parts": [{"column": "person.last", "steps": _NAME}, {"column": "person.first", "steps": _NAME}],
    "separator": ", ",
}


def _field(columns: str, *steps: str, **clauses: Any) -> dict[str, Any]:
    return {"from": [f"person.{column}" for column in columns.split()], "steps": list(steps), **clauses}


CONTRACT = EntityContract.model_validate(
    {
        "from": {"source": "person"},
        "key": "external_id",
        "fields": {
            "external_id": _field("employee_id", "trim", "upper", required=True),
            "last_name": _field("last", *_NAME, required=True),
            "first_name": _field("preferred_first first", *_NAME, required=True),
            "middle_name": _field("middle", *_NAME),
            "suffix": _field("suffix", "trim", "upper"),
            "email": _field("work_email", "trim", "lower", format="email"),
            "personal_email": _field("personal_email", "trim", "lower", format="email", on_invalid="discard_value"),
            "mobile": _field("mobile", "digits", "strip_country_code", format="e164", on_invalid="discard_value"),
            "home_phone": _field(
                "home_phone", "digits", "strip_country_code", format="e164", on_invalid="discard_value"
            ),
            "birth_date": _field("birth_date", "trim", format="date", date_formats=_DATES),
            "hire_date": _field("hire_date", "trim", format="date", date_formats=_DATES),
            "leave_date": _field("leave_date", "trim", format="date", date_formats=_DATES, on_invalid="discard_value"),
            "site": _field("site_code", "trim", "upper", map="sites", required=True),
            "role": _field("job_code", "trim", "upper", map="roles", required=True),
            "status": _field("status", "trim", "upper", format="enum", values=["A", "L"], drift="discard_row"),
            "grade": _field("grade", format="grade", on_invalid="discard_value"),
            "gender": _field("gender", "trim", "upper", map="genders", unmapped={"default": "unknown"}),
            "street": _field("street", "trim", "collapse_whitespace"),
            "city": _field("city", "trim", "collapse_whitespace", "upper"),
            "state": _field("state", "trim", "upper"),
            "zip": _field("zip", "digits"),
            "is_primary": _field("is_primary", format="boolean"),
            "seq": _field("seq", "trim", format="integer"),
            "title": _field("title", *_NAME),
            "full_name": {"concat": _FULL_NAME},
        },
    }
)


def _table(name: str, entries: Mapping[str, str]) -> MappingTable:
    return MappingTable(name=name, id_column="id", value_column="code", entries=dict(entries), lines={})


RULES = Rules(
    tables={"sites": _table("sites", SITES), "roles": _table("roles", ROLES), "genders": _table("genders", GENDERS)}
)


class Refused(ValueError):
    """A value that the record cannot go on with; the message is the code."""


_MAIL = re.compile(r"[^\s@]+@(?:[^\s@.]+\.)+[^\s@.]{2,}")
GRADES = {
    "k": "KG",
    "tk": "TK",
    "-1": "TK",
    "1": "01",
    "02": "02",
    "3rd": "03",
    "grade 4": "04",
    "05": "05",
    "12": "12",
}
"""The spellings among the people."""
_WORDS = {"y": True, "true": True, "yes": True, "n": False, "0": False}
Value = str | bool | None


def name(text: str | None) -> str | None:
    """Trimmed, single blanks, composed."""
    return unicodedata.normalize("NFC", " ".join(text.split())) or None if text else None


def upper(text: str | None) -> str | None:
    """Trimmed, in capitals."""
    return text.strip().upper() or None if text else None


def mail(text: str | None) -> str | None:
    """An address in small letters."""
    text = text.strip().lower() if text else ""
    if text and _MAIL.fullmatch(text) is None:
        raise Refused("NRM_BAD_FORMAT")
    return text or None


def phone(text: str | None) -> str | None:
    """A number of North America, null for any other."""
    digits = "".join(sign for sign in text or "" if sign in "0123456789")
    digits = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    return f"+1{digits}" if len(digits) == 10 else None


def date(text: str | None) -> str | None:
    """A date in either spelling."""
    text = text.strip() if text else ""
    if not text:
        return None
    for date_format in _DATES:
        try:
            return datetime.strptime(text, date_format).strftime("%Y-%m-%d")  # noqa: DTZ007 -- a day has no zone
        except ValueError:
            continue
    raise Refused("NRM_BAD_FORMAT")


def required(text: str | None, code: str = "NRM_MISSING_REQUIRED") -> str:
    """The text, which must be there."""
    if text is None:
        raise Refused(code)
    return text


def mapped(text: str | None, table: Mapping[str, str]) -> str:
    """The code of an id that must be there."""
    found = table.get(required(upper(text)) or "")
    if found is None:
        raise Refused("NRM_UNMAPPED")
    return found


def status(text: str | None) -> str | None:
    """Active or on leave."""
    found = upper(text)
    if found not in {"A", "L", None}:
        raise Refused("NRM_UNKNOWN_VALUE")
    return found


def flag(text: str | None) -> bool | None:
    """A truth value."""
    word = text.strip().lower() if text else ""
    if word and word not in _WORDS:
        raise Refused("NRM_BAD_FORMAT")
    return _WORDS.get(word)


def integer(text: str | None) -> str | None:
    """A number without leading zeros."""
    return None if text is None else str(int(text))


def or_nothing(function: Callable[[str | None], str | None], text: str | None) -> str | None:
    """The value, null where it would be refused."""
    try:
        return function(text)
    except Refused:
        return None


def _full_name(row: Mapping[str, str | None]) -> str | None:
    return ", ".join(part for part in (name(row["last"]), name(row["first"])) if part) or None


PLAIN: Mapping[str, Callable[[Mapping[str, Any]], Value]] = {
    "external_id": lambda row: required(upper(row["employee_id"]), "NRM_MISSING_KEY"),
    "last_name": lambda row: required(name(row["last"])),
    "first_name": lambda row: required(name(row["preferred_first"]) or name(row["first"])),
    "middle_name": lambda row: name(row["middle"]),
    "suffix": lambda row: upper(row["suffix"]),
    "email": lambda row: mail(row["work_email"]),
    "personal_email": lambda row: or_nothing(mail, row["personal_email"]),
    "mobile": lambda row: phone(row["mobile"]),
    "home_phone": lambda row: phone(row["home_phone"]),
    "birth_date": lambda row: date(row["birth_date"]),
    "hire_date": lambda row: date(row["hire_date"]),
    "leave_date": lambda row: or_nothing(date, row["leave_date"]),
    "site": lambda row: mapped(row["site_code"], SITES),
    "role": lambda row: mapped(row["job_code"], ROLES),
    "status": lambda row: status(row["status"]),
    "grade": lambda row: GRADES.get((row["grade"] or "").strip().lower()),
    "gender": lambda row: GENDERS.get(upper(row["gender"]) or "", "unknown"),
    "street": lambda row: " ".join((row["street"] or "").split()) or None,
    "city": lambda row: " ".join((row["city"] or "").split()).upper() or None,
    "state": lambda row: upper(row["state"]),
    "zip": lambda row: "".join(sign for sign in row["zip"] or "" if sign in "0123456789") or None,
    "is_primary": lambda row: flag(row["is_primary"]),
    "seq": lambda row: integer(row["seq"]),
    "title": lambda row: name(row["title"]),
    "full_name": _full_name,
}


def plain_row(row: Mapping[str, Any]) -> tuple[tuple[Value, ...] | None, tuple[str, ...]]:
    """The record of one row, and the codes that keep it back; no record when there are any."""
    values: list[Value] = []
    codes: list[str] = []
    for function in PLAIN.values():
        try:
            values.append(function(row))
        except Refused as refused:
            codes.append(str(refused))
    return (None if codes else tuple(values)), tuple(codes)
