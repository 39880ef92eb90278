"""What a roster's records hold: columns, and where they stand in a JSON record and in a CSV file, as data. Pure.

A reference to another record is its sourcedId; a list is one text, joined by commas in the order in which it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from shared.errors import StopRun
from shared.ports.system import Column

Form = Literal["text", "boolean", "date", "datetime", "list", "reference", "references", "ids"]
"""`ids`: pairs of a type and an identifier, one text `{type:identifier}` each, joined by commas."""

_KINDS: Final[Mapping[Form, Literal["text", "boolean", "date", "datetime"]]] = {
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
}


@dataclass(frozen=True)
class Field:
    """One column."""

    name: str
    json: str
    """The member of a record."""
    csv: str
    """The heading in the file."""
    form: Form = "text"

    @property
    def column(self) -> Column:
        """As the house sees it."""
        return Column(self.name, _KINDS.get(self.form, "text"), is_required=self.name == "sourced_id")


@dataclass(frozen=True)
class Collection:
    """One kind of record."""

    path: str
    """Of its list, the name of that list in an answer, and of its file in a bundle."""
    fields: tuple[Field, ...]


def _collection(path: str, *fields: Field) -> Collection:
    base = (
        Field("sourced_id", "sourcedId", "sourcedId"),
        Field("status", "status", "status"),
        Field("modified_at", "dateLastModified", "dateLastModified", "datetime"),
    )
    return Collection(path, (*base, *fields))


def _field(name: str, there: str, form: Form = "text") -> Field:
    return Field(name, there, there, form)


_GRADES: Final = _field("grades", "grades", "list")
_SUBJECTS: Final = (_field("subjects", "subjects", "list"), _field("subject_codes", "subjectCodes", "list"))
ROLE: Final = "role"
ORG_ID: Final = "org_id"
ORG_IDS: Final = "org_ids"
ROLES: Final = "roles"

COLLECTIONS: Final[Mapping[str, Collection]] = {
    "orgs": _collection(
        "orgs",
        _field("name", "name"),
        _field("type", "type"),
        _field("identifier", "identifier"),
        Field("parent_id", "parent", "parentSourcedId", "reference"),
    ),
    "academic_sessions": _collection(
        "academicSessions",
        _field("title", "title"),
        _field("type", "type"),
        _field("start_date", "startDate", "date"),
        _field("end_date", "endDate", "date"),
        Field("parent_id", "parent", "parentSourcedId", "reference"),
        _field("school_year", "schoolYear"),
    ),
    "courses": _collection(
        "courses",
        _field("title", "title"),
        _field("course_code", "courseCode"),
        _GRADES,
        Field("school_year_id", "schoolYear", "schoolYearSourcedId", "reference"),
        Field("org_id", "org", "orgSourcedId", "reference"),
        *_SUBJECTS,
    ),
    "classes": _collection(
        "classes",
        _field("title", "title"),
        _field("class_code", "classCode"),
        _field("class_type", "classType"),
        _field("location", "location"),
        _GRADES,
        Field("course_id", "course", "courseSourcedId", "reference"),
        Field("school_id", "school", "schoolSourcedId", "reference"),
        Field("term_ids", "terms", "termSourcedIds", "references"),
        *_SUBJECTS,
        _field("periods", "periods", "list"),
    ),
    "users": _collection(
        "users",
        _field("enabled", "enabledUser", "boolean"),
        _field("username", "username"),
        _field("given_name", "givenName"),
        _field("family_name", "familyName"),
        _field("middle_name", "middleName"),
        Field("preferred_given_name", "preferredFirstName", "preferredGivenName"),
        _field("identifier", "identifier"),
        _field("user_ids", "userIds", "ids"),
        _field("email", "email"),
        _field("sms", "sms"),
        _field("phone", "phone"),
        Field("agent_ids", "agents", "agentSourcedIds", "references"),
        _GRADES,
        Field(ROLE, "role", "role"),
        Field(ORG_ID, "primaryOrg", "primaryOrgSourcedId", "reference"),
        Field(ORG_IDS, "orgs", "orgSourcedIds", "references"),
        Field(ROLES, "roles", "roles"),
    ),
    "enrollments": _collection(
        "enrollments",
        Field("class_id", "class", "classSourcedId", "reference"),
        Field("user_id", "user", "userSourcedId", "reference"),
        Field("school_id", "school", "schoolSourcedId", "reference"),
        _field("role", "role"),
        _field("is_primary", "primary", "boolean"),
        _field("begin_date", "beginDate", "date"),
        _field("end_date", "endDate", "date"),
    ),
}


def collection_of(entity: str) -> Collection:
    """What is known of an entity; `StopRun` for one that there is not."""
    if entity not in COLLECTIONS:
        raise StopRun(
            "SRC_CONFIG", f"oneroster has no entity {entity}; there are: {', '.join(COLLECTIONS)}", entity=entity
        )
    return COLLECTIONS[entity]


def columns_of(entity: str) -> tuple[Column, ...]:
    """The columns of an entity; `StopRun` for one that there is not."""
    return tuple(field.column for field in collection_of(entity).fields)
