"""The roster of a simulated provider: every record by id, in the order of ids, and who belongs to whom.

It is read-only for clients, as roster services are; a test changes it by putting another state. What belongs to what is
worked out once, when it is first asked for.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property
from typing import Any, Self

from simulators.kit.violations import Violations
from simulators.oneroster.rows import ROSTER, Row, checked_row, references, stamp_of
from simulators.oneroster.world import world

ROWS_MAX = 5_000_000
DELETED = frozenset({"tobedeleted", "inactive"})

Ids = list[str]
Index = dict[str, Ids]


class Roster:
    """All records of one provider."""

    def __init__(self, rows: dict[str, dict[str, Row]]) -> None:
        self._rows = rows
        self._ids = {collection: sorted(rows[collection]) for collection in ROSTER}
        self.violations = Violations()
        self._views: dict[str, Ids] = {}

    @classmethod
    def from_document(cls, document: Any, *, now: datetime) -> Self:
        """Build the roster from a seed, a saved state, or an order to make one up (`{"generate": {…}}`)."""
        if isinstance(document, dict) and document.keys() == {"generate"}:
            document = world(document["generate"], now=now)
        if not isinstance(document, dict) or not document.keys() <= {*ROSTER, "violations"}:
            raise ValueError(f"state: an object with {', '.join(ROSTER)} and violations, or generate, and nothing else")
        rows: dict[str, dict[str, Row]] = {}
        stamp = stamp_of(now)
        for collection in ROSTER:
            items = document.get(collection, [])
            if not isinstance(items, list) or len(items) > ROWS_MAX:
                raise ValueError(f"{collection}: a list of at most {ROWS_MAX} records")
            kept = rows[collection] = {}
            for position, item in enumerate(items):
                try:
                    row = checked_row(item, collection=collection, now=stamp)
                except ValueError as error:
                    raise ValueError(f"{collection}[{position}]: {error}") from error
                if row["sourcedId"] in kept:
                    raise ValueError(f"{collection}[{position}]: sourcedId {row['sourcedId']!r} is there twice")
                kept[row["sourcedId"]] = row
        for collection in ROSTER:
            for position, row in enumerate(rows[collection].values()):
                for name, target, named in references(row, collection=collection):
                    if named not in rows[target]:
                        raise ValueError(f"{collection}[{position}]: {name} names {named!r}, which {target} has not")
        roster = cls(rows)
        roster.violations = Violations.from_document(document.get("violations", []))
        return roster

    def document(self) -> dict[str, Any]:
        """Describe the whole state; `from_document` reads it back."""
        document: dict[str, Any] = {collection: list(self._rows[collection].values()) for collection in ROSTER}
        return document | {"violations": self.violations.document()}

    def rows(self, collection: str) -> dict[str, Row]:
        """Give all records of a collection by id."""
        return self._rows[collection]

    def view(self, name: str) -> tuple[str, Ids]:
        """Say which collection a top-level path shows, and which records of it, in the order of ids."""
        narrow: dict[str, tuple[str, Callable[[Row], bool]]] = {
            "schools": ("orgs", lambda row: row["type"] == "school"),
            "terms": ("academicSessions", lambda row: row["type"] in {"term", "semester"}),
            "gradingPeriods": ("academicSessions", lambda row: row["type"] == "gradingPeriod"),
            "students": ("users", lambda row: _has_role(row, "student")),
            "teachers": ("users", lambda row: _has_role(row, "teacher")),
        }
        if name not in narrow:
            return name, self._ids[name]
        collection, keep = narrow[name]
        if name not in self._views:
            rows = self._rows[collection]
            self._views[name] = [each for each in self._ids[collection] if keep(rows[each])]
        return collection, self._views[name]

    def is_in_view(self, name: str, sourced_id: str) -> bool:
        """Tell whether a record is shown under a path, such as a user under `students`."""
        collection = self.view(name)[0]
        row = self._rows[collection].get(sourced_id)
        if row is None:
            return False
        match name:
            case "students" | "teachers":
                return _has_role(row, name[:-1])
            case "schools":
                return bool(row["type"] == "school")
            case "terms":
                return row["type"] in {"term", "semester"}
            case "gradingPeriods":
                return bool(row["type"] == "gradingPeriod")
        return True

    def nested(self, path: tuple[str, ...]) -> tuple[str, Iterable[str]] | None:
        """Find the records below others, such as `schools/S1/classes`; None when there is no such path (O7)."""
        found: tuple[str, Iterable[str]] | None = None
        match path:
            case ("schools", school, "classes"):
                found = ("classes", self._classes_by["schoolSourcedId"].get(school, []))
            case ("courses", course, "classes"):
                found = ("classes", self._classes_by["courseSourcedId"].get(course, []))
            case ("terms", term, "classes"):
                found = ("classes", self._classes_by["termSourcedIds"].get(term, []))
            case ("terms", term, "gradingPeriods"):
                found = ("academicSessions", self._narrowed("gradingPeriods", self.children("academicSessions", term)))
            case ("schools", school, "courses"):
                classes = (self._rows["classes"][each] for each in self._classes_by["schoolSourcedId"].get(school, []))
                found = ("courses", {row["courseSourcedId"] for row in classes})
            case ("schools", school, "terms"):
                classes = (self._rows["classes"][each] for each in self._classes_by["schoolSourcedId"].get(school, []))
                found = ("academicSessions", {term for row in classes for term in row["termSourcedIds"]})
            case ("schools", school, "enrollments"):
                found = ("enrollments", self._enrollments_by["schoolSourcedId"].get(school, []))
            case ("schools", school, "students" | "teachers" as role):
                found = ("users", self._people_of(school, role[:-1]))
            case ("classes", room, "students" | "teachers" as role):
                found = ("users", self._users_in(room, role[:-1]))
            case ("schools", school, "classes", room, "enrollments"):
                found = ("enrollments", self._enrollments_by["classSourcedId"].get(room, []))
            case ("schools", school, "classes", room, "students" | "teachers" as role):
                found = ("users", self._users_in(room, role[:-1]))
            case ("users" | "students" | "teachers" as who, user, "classes"):
                found = ("classes", self._classes_of(user, role=None if who == "users" else who[:-1]))
        return found

    def children(self, collection: str, parent: str) -> Ids:
        """List what names a record as its parent."""
        return self._children[collection].get(parent, [])

    def _narrowed(self, view: str, ids: Iterable[str]) -> Iterable[str]:
        return (each for each in ids if self.is_in_view(view, each))

    def _users_in(self, room: str, role: str) -> set[str]:
        rows = (self._rows["enrollments"][each] for each in self._enrollments_by["classSourcedId"].get(room, []))
        return {row["userSourcedId"] for row in rows if row["role"] == role and row["status"] not in DELETED}

    def _classes_of(self, user: str, *, role: str | None) -> set[str]:
        rows = (self._rows["enrollments"][each] for each in self._enrollments_by["userSourcedId"].get(user, []))
        return {row["classSourcedId"] for row in rows if role in {None, row["role"]} and row["status"] not in DELETED}

    def _people_of(self, school: str, role: str) -> list[str]:
        rows = self._rows["users"]
        return [
            each
            for each in self._users_by_org.get(school, [])
            if any(held["role"] == role and held["orgSourcedId"] == school for held in rows[each]["roles"])
        ]

    @cached_property
    def _classes_by(self) -> dict[str, Index]:
        return self._index("classes", ("schoolSourcedId", "courseSourcedId", "termSourcedIds"))

    @cached_property
    def _enrollments_by(self) -> dict[str, Index]:
        return self._index("enrollments", ("classSourcedId", "schoolSourcedId", "userSourcedId"))

    @cached_property
    def _children(self) -> dict[str, Index]:
        names = ("orgs", "academicSessions")
        return {name: self._index(name, ("parentSourcedId",))["parentSourcedId"] for name in names}

    @cached_property
    def _users_by_org(self) -> Index:
        index: Index = {}
        for sourced_id in self._ids["users"]:
            for org in {held["orgSourcedId"] for held in self._rows["users"][sourced_id]["roles"]}:
                index.setdefault(org, []).append(sourced_id)
        return index

    def _index(self, collection: str, names: tuple[str, ...]) -> dict[str, Index]:
        indexes: dict[str, Index] = {name: {} for name in names}
        for sourced_id in self._ids[collection]:
            row = self._rows[collection][sourced_id]
            for name in names:
                value = row.get(name)
                for each in value if isinstance(value, list) else [value]:
                    if each is not None:
                        indexes[name].setdefault(each, []).append(sourced_id)
        return indexes


def _has_role(row: Row, role: str) -> bool:
    return any(held["role"] == role for held in row["roles"])
