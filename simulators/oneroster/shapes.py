"""How a record of the roster is shown over REST: the members of 1.1 and those of 1.2.

Pure apart from looking up children in the roster. A member without a value is left out; a list without entries is an
empty list. No password is ever shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from simulators.oneroster.rows import RACES, ROLES, Row
from simulators.oneroster.store import Roster

Version = Literal["1.1", "1.2"]
SINGULAR = {
    "orgs": "org",
    "academicSessions": "academicSession",
    "courses": "course",
    "classes": "class",
    "users": "user",
    "enrollments": "enrollment",
    "demographics": "demographics",
}
_BASE = ("sourcedId", "status", "dateLastModified", "metadata")
_USER = (
    "username", "userIds", "enabledUser", "givenName", "familyName", "middleName", "identifier", "email", "sms",
    "phone", "agents", "grades",
)  # fmt: skip
_USER_1P2 = (
    "roles", "userProfiles", "primaryOrg", "userMasterIdentifier", "preferredGivenName", "preferredMiddleName",
    "preferredFamilyName", "pronouns",
)  # fmt: skip
_MEMBERS: dict[str, tuple[str, ...]] = {
    "orgs": ("name", "type", "identifier", "parent", "children"),
    "academicSessions": ("title", "startDate", "endDate", "type", "parent", "children", "schoolYear"),
    "courses": ("title", "schoolYear", "courseCode", "grades", "subjects", "org", "subjectCodes"),
    "classes": (
        "title", "classCode", "classType", "location", "grades", "subjects", "course", "school", "terms",
        "subjectCodes", "periods",
    ),
    "enrollments": ("user", "class", "school", "role", "primary", "beginDate", "endDate"),
    "demographics": (
        "birthDate", "sex", *RACES, "countryOfBirthCode", "stateOfBirthAbbreviation", "cityOfBirth",
        "publicSchoolResidenceStatus",
    ),
}  # fmt: skip


def members(collection: str, version: Version) -> frozenset[str]:
    """Name the members that records of a collection may show in a version."""
    if collection == "users":
        own = (*_USER, "role", "orgs") if version == "1.1" else (*_USER, *_USER_1P2)
        return frozenset({*_BASE, *own})
    return frozenset({*_BASE, *_MEMBERS[collection]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaper:
    """Shows records in one version to one caller."""

    version: Version
    base_url: str
    """What every href begins with: scheme, host and the version's base path."""
    roster: Roster
    json_booleans: bool
    shows_inactive: bool

    def show(self, collection: str, row: Row) -> Row:
        """Show one record."""
        makers: dict[str, Callable[[Row], Row]] = {
            "orgs": self._org,
            "academicSessions": self._session,
            "courses": self._course,
            "classes": self._class,
            "users": self._user,
            "enrollments": self._enrollment,
            "demographics": self._demographics,
        }
        shown = {
            "sourcedId": row["sourcedId"],
            "status": self.status(row),
            "dateLastModified": row["dateLastModified"],
            "metadata": row.get("metadata"),
        } | makers[collection](row)
        return {name: value for name, value in shown.items() if value is not None}

    def status(self, row: Row) -> str:
        """Show a status; `inactive` exists in old 1.1 only (O15)."""
        status: str = row["status"]
        is_shown = status != "inactive" or (self.version == "1.1" and self.shows_inactive)
        return status if is_shown else "tobedeleted"

    def _reference(self, collection: str, sourced_id: str | None) -> Row | None:
        if sourced_id is None:
            return None
        href = f"{self.base_url}/{collection}/{sourced_id}"
        return {"href": href, "sourcedId": sourced_id, "type": SINGULAR[collection]}  # O20

    def _references(self, collection: str, ids: list[str]) -> list[Row | None]:
        return [self._reference(collection, each) for each in ids]

    def _flag(self, value: bool | None) -> str | bool | None:
        if value is None or self.json_booleans:
            return value
        return "true" if value else "false"  # O19

    def _org(self, row: Row) -> Row:
        return {
            "name": row["name"],
            "type": row["type"],
            "identifier": row["identifier"],
            "parent": self._reference("orgs", row.get("parentSourcedId")),
            "children": self._references("orgs", self.roster.children("orgs", row["sourcedId"])),
        }

    def _session(self, row: Row) -> Row:
        children = self.roster.children("academicSessions", row["sourcedId"])
        return {name: row[name] for name in ("title", "startDate", "endDate", "type", "schoolYear")} | {
            "parent": self._reference("academicSessions", row.get("parentSourcedId")),
            "children": self._references("academicSessions", children),
        }

    def _course(self, row: Row) -> Row:
        return {
            "title": row["title"],
            "schoolYear": self._reference("academicSessions", row.get("schoolYearSourcedId")),
            "courseCode": row.get("courseCode"),
            "org": self._reference("orgs", row["orgSourcedId"]),
        } | _lists(row, "grades", "subjects", "subjectCodes")

    def _class(self, row: Row) -> Row:
        periods = row.get("periods", [])
        return {name: row.get(name) for name in ("title", "classCode", "classType", "location")} | {
            "course": self._reference("courses", row["courseSourcedId"]),
            "school": self._reference("orgs", row["schoolSourcedId"]),
            "terms": self._references("academicSessions", row["termSourcedIds"]),
            "periods": periods if self.version == "1.2" else ",".join(periods) or None,  # O25
            **_lists(row, "grades", "subjects", "subjectCodes"),
        }

    def _user(self, row: Row) -> Row:
        texts = ("username", "givenName", "familyName", "middleName", "identifier", "email", "sms", "phone")
        shown = {name: row.get(name) for name in texts} | _lists(row, "grades", "userIds")
        shown["enabledUser"] = self._flag(row["enabledUser"])
        shown["agents"] = self._references("users", row.get("agentSourcedIds", []))
        roles = row["roles"]
        if self.version == "1.1":
            first = next((role for role in roles if role["roleType"] == "primary"), roles[0])
            orgs = list(dict.fromkeys(role["orgSourcedId"] for role in roles))
            return shown | {"role": ROLES[first["role"]], "orgs": self._references("orgs", orgs)}  # O17
        shown["roles"] = [
            {
                "roleType": role["roleType"],
                "role": role["role"],
                "org": self._reference("orgs", role["orgSourcedId"]),
                **{name: role[name] for name in ("beginDate", "endDate") if name in role},
            }
            for role in roles
        ]  # O18
        shown["userProfiles"] = row.get("userProfiles", [])
        shown["primaryOrg"] = self._reference("orgs", row.get("primaryOrgSourcedId"))
        names = ("userMasterIdentifier", "preferredGivenName", "preferredMiddleName", "preferredFamilyName", "pronouns")
        return shown | {name: row.get(name) for name in names}

    def _enrollment(self, row: Row) -> Row:
        return {
            "user": self._reference("users", row["userSourcedId"]),
            "class": self._reference("classes", row["classSourcedId"]),
            "school": self._reference("orgs", row["schoolSourcedId"]),
            "role": row["role"],
            "primary": self._flag(row.get("primary")),
            "beginDate": row.get("beginDate"),
            "endDate": row.get("endDate"),
        }

    def _demographics(self, row: Row) -> Row:
        return {name: row.get(name) for name in _MEMBERS["demographics"] if name not in RACES} | {
            name: self._flag(row.get(name)) for name in RACES
        }


def _lists(row: Row, *names: str) -> Row:
    return {name: row.get(name, []) for name in names}
