"""A roster's records, from JSON and from CSV, in the same columns. Pure.

1.1 gives a user one role and a list of organisations, 1.2 a list of roles with one organisation each. Both become the
same columns: `role` and `org_id` of the primary role, `org_ids` of all, and `roles` as `role@organisation` pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from shared.http.rows import FieldShape, Rows, rows_of
from shared.http.shape import Json, WrongShape
from shared.ports.wire import Value
from systems.oneroster.fields import ORG_ID, ORG_IDS, ROLE, ROLES, Collection, Form

SEPARATOR: Final = ","
_BOOLEANS: Final[Mapping[str, bool]] = {"true": True, "false": False}
_OF_ONE_VERSION: Final = frozenset({"role", "orgSourcedIds", "primaryOrgSourcedId", "preferredGivenName", "roles"})
"""Headings of users that only 1.1 or only 1.2 has."""
_IGNORED: Final = frozenset({"metadata", "children", "resources", "userProfiles", "password", "userMasterIdentifier"})
"""Members that are known and not read."""


def rows_of_json(items: Json, collection: Collection) -> Rows:
    """The records of one page; `WrongShape` with the JSON pointer of what is not as the specification says."""
    shapes = [
        FieldShape(
            field.name,
            (field.json,),
            "boolean" if field.form == "boolean" else "text",
            may_miss=field.name != "sourced_id",
            read=_roles_in if field.name == ROLES else _JSON_READERS[field.form],
        )
        for field in collection.fields
    ]
    rows = rows_of(items, shapes, pointer=f"/{collection.path}", ignored=_IGNORED)
    for index, key in enumerate(rows.columns["sourced_id"]):
        if key is None:
            raise WrongShape(f"/{collection.path}/{index}/sourcedId", "is blank")
    return Rows(_with_roles(rows.columns, collection), rows.length, rows.unknown_fields)


def rows_of_csv(rows: Sequence[Mapping[str, str]], collection: Collection, roles: Mapping[str, Sequence[str]]) -> Rows:
    """The records of some lines of a file; `roles` are the pairs of each user by sourcedId, under 1.2.

    `WrongShape` names the heading of what is not as the specification says.
    """
    columns: dict[str, list[Value]] = {}
    is_user = any(field.name == ROLES for field in collection.fields)
    for field in collection.fields:
        if rows and field.csv not in rows[0] and not (is_user and field.csv in _OF_ONE_VERSION):
            raise WrongShape(f"/{field.csv}", "is not among the headings")
    for field in collection.fields:
        read = _CSV_READERS.get(field.form, _blank_is_none)
        try:
            columns[field.name] = [read(row.get(field.csv, "")) for row in rows]
        except ValueError as wrong:
            raise WrongShape(f"/{field.csv}", str(wrong)) from None
    if None in columns["sourced_id"]:
        raise WrongShape("/sourcedId", "is blank")
    if is_user:
        columns[ROLES] = [SEPARATOR.join(roles.get(str(key), ())) or None for key in columns["sourced_id"]]
    return Rows(_with_roles(columns, collection), len(rows))


def role_pairs(rows: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """The role@organisation pairs of each user from the lines of a file of roles, the primary ones first."""
    found: dict[str, list[tuple[bool, str]]] = {}
    for row in rows:
        pair = _pair(row.get("role", ""), row.get("orgSourcedId", ""))
        is_secondary = row.get("roleType", "") != "primary"
        found.setdefault(row.get("userSourcedId", ""), []).append((is_secondary, pair))
    return {user: [pair for _, pair in sorted(pairs, key=lambda each: each[0])] for user, pairs in found.items()}


def _with_roles(columns: Mapping[str, list[Value]], collection: Collection) -> dict[str, list[Value]]:
    """The columns of users with role and organisations the same whatever the version."""
    made = dict(columns)
    if not any(field.name == ROLES for field in collection.fields):
        return made
    for index, roles in enumerate(made[ROLES]):
        role, org_id, org_ids = made[ROLE][index], made[ORG_ID][index], _parts(made[ORG_IDS][index])
        pairs = _parts(roles)
        if not pairs and role is not None:
            pairs = [_pair(str(role), org) for org in org_ids] or [_pair(str(role), "")]
        split = [pair.partition("@") for pair in pairs]
        org_ids = org_ids or list(dict.fromkeys(org for _, _, org in split if org))
        primary_role, _, primary_org = split[0] if split else ("", "", "")
        made[ROLES][index] = SEPARATOR.join(pairs) or None
        made[ROLE][index] = role or primary_role or None
        made[ORG_ID][index] = org_id or primary_org or None
        made[ORG_IDS][index] = SEPARATOR.join(org_ids) or None
    return made


def _parts(value: Value) -> list[str]:
    return str(value).split(SEPARATOR) if value is not None else []


def _pair(role: str, org_id: str) -> str:
    return f"{role}@{org_id}" if org_id else role


# --- JSON -------------------------------------------------------------------------------------------------------------


def _text(value: Json) -> Value:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"is no text but a {type(value).__name__}")
    return str(value)


def _boolean(value: Json) -> Value:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("", *_BOOLEANS):
        return _BOOLEANS.get(value.lower())
    raise ValueError("is neither true nor false")


def _list(value: Json) -> Value:
    if not isinstance(value, list):
        return _text(value)  # some members are lists in one version and text in the other
    return SEPARATOR.join(str(text) for each in value if (text := _text(each)) is not None) or None


def _reference(value: Json) -> Value:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError(f"is no reference but a {type(value).__name__}")
    return _text(value.get("sourcedId"))


def _references(value: Json) -> Value:
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError(f"is no list of references but a {type(value).__name__}")
    return SEPARATOR.join(str(key) for each in value if (key := _reference(each)) is not None) or None


def _ids(value: Json) -> Value:
    if not isinstance(value, list):
        return _text(value)
    pairs = []
    for each in value:
        if not isinstance(each, dict):
            raise ValueError("is no list of pairs of type and identifier")
        pairs.append(f"{{{_text(each.get('type')) or ''}:{_text(each.get('identifier')) or ''}}}")
    return SEPARATOR.join(pairs) or None


def _roles_in(value: Json) -> Value:
    """The roles of 1.2, the primary ones first."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("is no list of roles")
    ordered = sorted(value, key=lambda each: each.get("roleType") != "primary")
    pairs = [_pair(str(_text(each.get("role")) or ""), str(_reference(each.get("org")) or "")) for each in ordered]
    return SEPARATOR.join(pairs) or None


_JSON_READERS: Final[Mapping[Form, Callable[[Json], Value]]] = {
    "text": _text,
    "boolean": _boolean,
    "date": _text,
    "datetime": _text,
    "list": _list,
    "reference": _reference,
    "references": _references,
    "ids": _ids,
}


# --- CSV --------------------------------------------------------------------------------------------------------------


def _blank_is_none(text: str) -> Value:
    return text.strip() or None


def _csv_list(text: str) -> Value:
    return SEPARATOR.join(part.strip() for part in text.split(SEPARATOR) if part.strip()) or None


_CSV_READERS: Final[Mapping[Form, Callable[[str], Value]]] = {
    "boolean": _boolean,
    "list": _csv_list,
    "references": _csv_list,
    "ids": _csv_list,
}
