"""Students or staff of a simulated Apex: one record a person, with a membership in each of its organisations.

Pure state: takes items that rules.py has passed. Nobody is ever removed; a delete archives one membership. A record is
replaced, never changed in place, so that a row handed out stays what it was.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulators.apex.rules import PERSON_FIELDS, ROLES, Kind, complaints, refuses

ACTIVE = "Active"
ARCHIVED = "Archived"
PEOPLE_MAX = 1_000_000

Person = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one item: a message for the caller and, when something happened, the effect and its key."""

    message: str = "Success"
    is_refused: bool = False
    effect: str = "none"
    external_id: str | None = None


class People:
    """All of one kind, in the order they came."""

    def __init__(self, kind: str, *, organizations: Collection[str]) -> None:
        self._kind = kind
        self._organizations = organizations
        self._people: dict[str, Person] = {}
        self._rows: list[tuple[str, int]] = []  # one for each membership: whose, and which of theirs
        self._ids: list[str] = []
        self._id_of_login: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def get(self, user_id: str) -> Person | None:
        """Find a person by the caller's key."""
        return self._people.get(user_id)

    def length(self, *, by_membership: bool) -> int:
        """Count the rows of the list."""
        return len(self._rows) if by_membership else len(self._ids)

    def rows(self, window: slice, *, by_membership: bool) -> Iterator[Person]:
        """Hand out list rows: the person's fields with one organisation, role and status (A7)."""
        chosen = self._rows[window] if by_membership else [(user_id, 0) for user_id in self._ids[window]]
        for user_id, position in chosen:
            person = self._people[user_id]
            membership = person["Organizations"][position]
            status = membership["RoleStatus"]
            if not by_membership and any(other["RoleStatus"] == ACTIVE for other in person["Organizations"]):
                status = ACTIVE
            shown = {name: value for name, value in person.items() if name not in {"Organizations", "HasPassword"}}
            yield shown | {
                "ImportOrgId": membership["ImportOrgId"],
                "Role": membership["Role"],
                "RoleStatus": status,
            }

    def put(self, item: Mapping[str, Any], *, brings_back: bool, pretend: bool) -> Done:
        """Create one person, or a further membership of one (A15, A20)."""
        user_id, org_id = item["ImportUserId"], item["ImportOrgId"]
        if org_id not in self._organizations:
            return Done(message="Organization doesn't exist", is_refused=True)
        if self._id_of_login.get(item["LoginId"], user_id) != user_id:
            return Done(message="Duplicate user", is_refused=True)  # A15
        before = self._people.get(user_id)
        if before is None:
            membership = {"ImportOrgId": org_id, "Role": item["Role"], "RoleStatus": ACTIVE}
            person: Person = {"ImportUserId": user_id, **self._fields(item), "Organizations": [membership]}
            person["HasPassword"] = bool(item.get("LoginPw"))
            if not pretend:
                self._keep(person)
            return Done(effect=f"created {user_id}", external_id=user_id)
        known = _membership(before, org_id)
        if known is not None and (known["RoleStatus"] == ACTIVE or not brings_back):
            return Done(message="User already exist", is_refused=True)  # A15
        named = {name: item[name] for name in PERSON_FIELDS if name in item}
        after = _joined(before | named, org_id, role=item["Role"])
        if not pretend:
            self._keep(after)
        return Done(effect=f"updated {user_id} [Organizations]", external_id=user_id)

    def change(self, user_id: str, body: Mapping[str, Any], *, brings_back: bool, pretend: bool) -> Done:
        """Set the fields a body holds; an empty CoachEmails is taken and does nothing (A19, A21)."""
        before = self._people.get(user_id)
        if before is None:
            return Done(message="User doesn't exist", is_refused=True)
        fields = {name: body[name] for name in PERSON_FIELDS if name in body}
        if fields.get("CoachEmails") == "":
            del fields["CoachEmails"]  # A21
        if self._id_of_login.get(fields.get("LoginId", ""), user_id) != user_id:
            return Done(message="Duplicate user", is_refused=True)
        after = before | fields
        org_id = body.get("ImportOrgId")
        if org_id is not None and org_id not in self._organizations:
            return Done(message="Organization doesn't exist", is_refused=True)
        known = _membership(before, org_id) if org_id is not None else before["Organizations"][0]
        if org_id is not None and (known is None or brings_back):
            like = known if known is not None else before["Organizations"][0]
            after = _joined(after, org_id, role=body.get("Role", like["Role"]))
        elif "Role" in body and known is not None:
            after = after | {
                "Organizations": [
                    each | {"Role": body["Role"]} if each is known else each for each in before["Organizations"]
                ]
            }
        changed = [name for name in (*PERSON_FIELDS, "Organizations") if after.get(name) != before.get(name)]
        if not changed:
            return Done(effect=f"unchanged {user_id}", external_id=user_id)
        if not pretend:
            self._keep(after)
        return Done(effect=f"updated {user_id} [{', '.join(changed)}]", external_id=user_id)

    def archive(self, user_id: str, org_id: str, *, pretend: bool) -> Done:
        """Archive a person in one organisation (A9)."""
        before = self._people.get(user_id)
        membership = _membership(before, org_id) if before is not None else None
        if before is None or membership is None:
            return Done(message="User doesn't exist", is_refused=True)
        if membership["RoleStatus"] == ARCHIVED:
            return Done(effect=f"unchanged {user_id}", external_id=user_id)
        if not pretend:
            others = [
                each | {"RoleStatus": ARCHIVED} if each is membership else each for each in before["Organizations"]
            ]
            self._keep(before | {"Organizations": others})
        return Done(effect=f"deleted {user_id}@{org_id}", external_id=user_id)

    def is_active_in(self, user_id: str, org_id: str) -> bool:
        """Tell whether a person has a membership there that is not archived."""
        person = self._people.get(user_id)
        membership = _membership(person, org_id) if person is not None else None
        return membership is not None and membership["RoleStatus"] == ACTIVE

    def load(self, document: Any) -> None:
        """Take over the people of a seed; `ValueError` names place, value and rule."""
        if not isinstance(document, list) or len(document) > PEOPLE_MAX:
            raise ValueError(f"{self._kind}: a list of at most {PEOPLE_MAX} people")
        for position, item in enumerate(document):
            place = f"{self._kind}[{position}]"
            if not isinstance(item, dict):
                raise ValueError(f"{place}: not an object")
            person = self._seeded(item, place=place)
            if person["ImportUserId"] in self._people:
                raise ValueError(f"{place}: ImportUserId is there twice (A15)")
            if person["LoginId"] in self._id_of_login:
                raise ValueError(f"{place}: LoginId is there twice (A15)")
            self._keep(person)

    def document(self) -> list[Person]:
        """List everybody as a seed does."""
        return list(self._people.values())

    def _keep(self, person: Person) -> None:
        user_id: str = person["ImportUserId"]
        before = self._people.get(user_id)
        if before is None:
            self._ids.append(user_id)
        elif before["LoginId"] != person["LoginId"]:
            del self._id_of_login[before["LoginId"]]
        known = len(before["Organizations"]) if before is not None else 0
        self._rows.extend((user_id, position) for position in range(known, len(person["Organizations"])))
        self._people[user_id] = person
        self._id_of_login[person["LoginId"]] = user_id

    def _fields(self, item: Mapping[str, Any]) -> Person:
        absent = {"GradeLevel"} if self._kind == "staff" else set()
        return {name: item.get(name) for name in PERSON_FIELDS if name not in absent}

    def _seeded(self, item: dict[str, Any], *, place: str) -> Person:
        memberships = item.get("Organizations")
        if not isinstance(memberships, list) or not memberships:
            raise ValueError(f"{place}: Organizations must list at least one organisation")
        kept: list[dict[str, str]] = []
        for membership in memberships:
            match membership:
                case {"ImportOrgId": str(org_id), "Role": str(role), "RoleStatus": "Active" | "Archived" as status}:
                    if org_id not in self._organizations or org_id in {each["ImportOrgId"] for each in kept}:
                        raise ValueError(f"{place}: organisation {org_id!r} is unknown or named twice")
                    if role not in ROLES[self._kind]:
                        raise ValueError(f"{place}: Role {role!r} is not one of {sorted(ROLES[self._kind])}")
                    kept.append({"ImportOrgId": org_id, "Role": role, "RoleStatus": status})
                case _:
                    raise ValueError(
                        f"{place}: an organisation needs ImportOrgId, Role and RoleStatus Active or Archived"
                    )
        rest = {name: value for name, value in item.items() if name not in {"Organizations", "HasPassword"}}
        whole = rest | {"ImportOrgId": kept[0]["ImportOrgId"], "Role": kept[0]["Role"]}
        kind: Kind = "students" if self._kind == "students" else "staff"
        present = {name: value for name, value in whole.items() if value is not None}
        wrong = [each for each in complaints(present, kind=kind, is_update=False) if refuses(each)]
        if wrong or "LoginPw" in rest or "ImportOrgId" in rest:
            texts = [each.text for each in wrong] or ["LoginPw and ImportOrgId are not kept of a person"]
            raise ValueError(f"{place}: {'; '.join(texts)}")
        person: Person = {"ImportUserId": item["ImportUserId"], **self._fields(item), "Organizations": kept}
        person["HasPassword"] = bool(item.get("HasPassword", True))
        return person


def detail(person: Person) -> Person:
    """Show one person in full: Organizations with a Role object, and never a password (A7, A10)."""
    shown = {name: value for name, value in person.items() if name not in {"Organizations", "HasPassword"}}
    return shown | {
        "Organizations": [
            {"ImportOrgId": each["ImportOrgId"], "Role": {"Code": each["Role"], "Status": each["RoleStatus"]}}
            for each in person["Organizations"]
        ]
    }


def _membership(person: Person, org_id: str) -> dict[str, str] | None:
    return next((each for each in person["Organizations"] if each["ImportOrgId"] == org_id), None)


def _joined(person: Person, org_id: str, *, role: str) -> Person:
    joined = {"ImportOrgId": org_id, "Role": role, "RoleStatus": ACTIVE}
    memberships = [joined if each["ImportOrgId"] == org_id else each for each in person["Organizations"]]
    if _membership(person, org_id) is None:
        memberships.append(joined)
    return person | {"Organizations": memberships}
