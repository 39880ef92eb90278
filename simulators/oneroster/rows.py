"""What a record of the simulated roster holds, whatever the version it is shown in: fields, kinds and references.

Pure: it checks one seeded row and fills in what a seed may leave out. One form serves REST 1.1, REST 1.2 and both CSV
bundles; shapes.py and bundle.py turn it into theirs.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

ROSTER = ("orgs", "academicSessions", "courses", "classes", "users", "enrollments", "demographics")
ROLES = {
    "aide": "aide",
    "counselor": "aide",
    "districtAdministrator": "administrator",
    "guardian": "guardian",
    "parent": "parent",
    "principal": "administrator",
    "proctor": "proctor",
    "relative": "relative",
    "siteAdministrator": "administrator",
    "student": "student",
    "systemAdministrator": "administrator",
    "teacher": "teacher",
}
"""The roles of 1.2 and what 1.1 calls them (O17)."""
_BASE = frozenset({"sourcedId", "status", "dateLastModified", "metadata"})
STATUSES = frozenset({"active", "inactive", "tobedeleted"})
RACES = (
    "americanIndianOrAlaskaNative", "asian", "blackOrAfricanAmerican", "nativeHawaiianOrOtherPacificIslander", "white",
    "demographicRaceTwoOrMoreRaces", "hispanicOrLatinoEthnicity",
)  # fmt: skip
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")

Row = dict[str, Any]
Check = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(each) for each in value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _is_user_ids(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and each.keys() == {"type", "identifier"} and all(map(_is_text, each.values()))
        for each in value
    )


def _is_roles(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(each, dict)
            and {"role", "roleType", "orgSourcedId"} <= each.keys()
            and each.keys() <= {"role", "roleType", "orgSourcedId", "beginDate", "endDate"}
            and each["role"] in ROLES
            and each["roleType"] in {"primary", "secondary"}
            and all(_is_date(each[name]) for name in ("beginDate", "endDate") if name in each)
            for each in value
        )
    )


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


CHECKS: dict[str, dict[str, Check]] = {
    "orgs": {
        "name": _is_text, "type": _one_of("department", "district", "local", "national", "school", "state"),
        "identifier": _is_text, "parentSourcedId": _is_text,
    },
    "academicSessions": {
        "title": _is_text, "type": _one_of("gradingPeriod", "schoolYear", "semester", "term"), "startDate": _is_date,
        "endDate": _is_date, "parentSourcedId": _is_text, "schoolYear": _is_text,
    },
    "courses": {
        "schoolYearSourcedId": _is_text, "title": _is_text, "courseCode": _is_text, "grades": _is_texts,
        "orgSourcedId": _is_text, "subjects": _is_texts, "subjectCodes": _is_texts,
    },
    "classes": {
        "title": _is_text, "grades": _is_texts, "courseSourcedId": _is_text, "classCode": _is_text,
        "classType": _one_of("homeroom", "scheduled"), "location": _is_text, "schoolSourcedId": _is_text,
        "termSourcedIds": _is_texts, "subjects": _is_texts, "subjectCodes": _is_texts, "periods": _is_texts,
    },
    "users": {
        "enabledUser": _is_flag, "username": _is_text, "userIds": _is_user_ids, "givenName": _is_text,
        "familyName": _is_text, "middleName": _is_text, "identifier": _is_text, "email": _is_text, "sms": _is_text,
        "phone": _is_text, "agentSourcedIds": _is_texts, "grades": _is_texts, "roles": _is_roles,
        "userMasterIdentifier": _is_text, "preferredGivenName": _is_text, "preferredMiddleName": _is_text,
        "preferredFamilyName": _is_text, "pronouns": _is_text, "primaryOrgSourcedId": _is_text,
        "userProfiles": _is_objects,
    },
    "enrollments": {
        "classSourcedId": _is_text, "schoolSourcedId": _is_text, "userSourcedId": _is_text,
        "role": _one_of("administrator", "proctor", "student", "teacher"), "primary": _is_flag, "beginDate": _is_date,
        "endDate": _is_date,
    },
    "demographics": {
        "birthDate": _is_date, "sex": _one_of("female", "male", "other", "unspecified"),
        **dict.fromkeys(RACES, _is_flag), "countryOfBirthCode": _is_text, "stateOfBirthAbbreviation": _is_text,
        "cityOfBirth": _is_text, "publicSchoolResidenceStatus": _is_text,
    },
}  # fmt: skip
REQUIRED: dict[str, tuple[str, ...]] = {
    "orgs": ("name", "type", "identifier"),
    "academicSessions": ("title", "type", "startDate", "endDate", "schoolYear"),
    "courses": ("title", "orgSourcedId"),
    "classes": ("title", "courseSourcedId", "classType", "schoolSourcedId", "termSourcedIds"),
    "users": ("enabledUser", "username", "givenName", "familyName", "roles"),
    "enrollments": ("classSourcedId", "schoolSourcedId", "userSourcedId", "role"),
    "demographics": (),
}
REFERENCES: dict[str, dict[str, str]] = {
    "orgs": {"parentSourcedId": "orgs"},
    "academicSessions": {"parentSourcedId": "academicSessions"},
    "courses": {"schoolYearSourcedId": "academicSessions", "orgSourcedId": "orgs"},
    "classes": {"courseSourcedId": "courses", "schoolSourcedId": "orgs", "termSourcedIds": "academicSessions"},
    "users": {"agentSourcedIds": "users", "primaryOrgSourcedId": "orgs"},
    "enrollments": {"classSourcedId": "classes", "schoolSourcedId": "orgs", "userSourcedId": "users"},
    "demographics": {"sourcedId": "users"},
}
"""Which field names records of which collection; a user's roles name orgs besides."""


def checked_row(row: Any, *, collection: str, now: str) -> Row:
    """Check one seeded row and fill in status and dateLastModified; `ValueError` names field and rule."""
    if not isinstance(row, dict) or not _is_text(row.get("sourcedId")):
        raise ValueError("needs a sourcedId")
    checks = CHECKS[collection]
    for name, value in row.items():
        check = checks.get(name)
        if check is None:
            if name in _BASE:
                continue
            raise ValueError(f"{name} is not a field of {collection}")
        if not check(value):
            raise ValueError(f"{name} has not the kind of value that {collection} hold there")
    if missing := [name for name in REQUIRED[collection] if name not in row]:
        raise ValueError(f"{', '.join(missing)} must be there")
    whole = {"status": "active", "dateLastModified": now} | row
    if whole["status"] not in STATUSES:
        raise ValueError(f"status {whole['status']!r} is not one of {sorted(STATUSES)}")
    stamp = whole["dateLastModified"]
    if not isinstance(stamp, str) or _STAMP.fullmatch(stamp) is None:
        raise ValueError(f"dateLastModified {stamp!r} is not of the form 2026-11-22T08:00:00.000Z")
    return whole


def references(row: Mapping[str, Any], *, collection: str) -> list[tuple[str, str, str]]:
    """List what a row names: field, collection, sourcedId."""
    found: list[tuple[str, str, str]] = []
    for name, target in REFERENCES[collection].items():
        value = row.get(name)
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                found.append((name, target, each))
    if collection == "users":
        found += [("roles", "orgs", role["orgSourcedId"]) for role in row["roles"]]
    return found


def stamp_of(moment: datetime) -> str:
    """Write a moment as every record keeps it: UTC, milliseconds, Z; the order of the texts is the order in time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
