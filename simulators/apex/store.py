"""The whole state of a simulated Apex: organisations, products, seats, people, classrooms, enrolments, batches.

Reads a seed, refuses what the API would not hold by place, value and rule, and gives the same document back. It also
keeps the effects per record, because one request here can change fifty records and a journal entry names one.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

from simulators.apex.batches import Batches
from simulators.apex.people import Done, People
from simulators.apex.rooms import Rooms
from simulators.apex.world import world
from simulators.kit.violations import Violations

EFFECTS_MAX = 200_000
"""Effects kept per record; what is beyond is counted in `effectsDropped`."""
_KEYS = frozenset(
    {
        "organizations", "products", "orders", "students", "staff", "classrooms", "enrollments",
        "batches", "effects", "effectsDropped", "violations",
    }
)  # fmt: skip


class ApexStore:
    """Everything one simulated Apex knows."""

    def __init__(self, *, organizations: list[Any], products: list[Any], orders: list[Any]) -> None:
        self.organizations = _organizations(organizations)
        self.products = _products(products)
        self.orders = _orders(orders, organizations=self.organizations)
        self.students = People("students", organizations=self.organizations)
        self.staff = People("staff", organizations=self.organizations)
        self.rooms = Rooms(
            organizations=self.organizations,
            programs={code: product["ProgramCode"] for code, product in self.products.items()},
            seats=self.orders,
            students=self.students,
            staff=self.staff,
        )
        self.batches = Batches()
        self.violations = Violations()
        self._effects: list[dict[str, str]] = []
        self._effects_dropped = 0

    @classmethod
    def from_document(cls, document: Any, *, now: datetime) -> Self:
        """Build the state from a seed, a saved state, or an order to make a world up (`{"generate": {…}}`)."""
        if isinstance(document, dict) and document.keys() == {"generate"}:
            document = world(document["generate"], now=now)
        if not isinstance(document, dict) or not document.keys() <= _KEYS:
            raise ValueError(f"state: an object with {', '.join(sorted(_KEYS))}, or generate, and nothing else")
        store = cls(
            organizations=document.get("organizations", []),
            products=document.get("products", []),
            orders=document.get("orders", []),
        )
        store.students.load(document.get("students", []))
        store.staff.load(document.get("staff", []))
        store.rooms.load(document.get("classrooms", []), document.get("enrollments", []))
        if "batches" in document:
            store.batches.restore(document["batches"])
        store.violations = Violations.from_document(document.get("violations", []))
        effects = document.get("effects", [])
        if not isinstance(effects, list) or len(effects) > EFFECTS_MAX:
            raise ValueError(f"effects: a list of at most {EFFECTS_MAX}")
        store._effects = list(effects)
        store._effects_dropped = int(document.get("effectsDropped", 0))
        return store

    def document(self) -> dict[str, Any]:
        """Describe the whole state; `from_document` reads it back."""
        classrooms, enrollments = self.rooms.documents()
        return {
            "organizations": [{"ImportOrgId": org_id, "Name": name} for org_id, name in self.organizations.items()],
            "products": list(self.products.values()),
            "orders": [
                {"ImportOrgId": org_id, "ProgramCode": program, "Seats": seats}
                for (org_id, program), seats in self.orders.items()
            ],
            "students": self.students.document(),
            "staff": self.staff.document(),
            "classrooms": classrooms,
            "enrollments": enrollments,
            "batches": self.batches.document(),
            "effects": list(self._effects),
            "effectsDropped": self._effects_dropped,
            "violations": self.violations.document(),
        }

    def remember(self, done: Iterable[Done]) -> None:
        """Keep the effects that were really had, one line for each record."""
        for each in done:
            if each.effect.startswith(("created ", "updated ", "deleted ")):
                if len(self._effects) < EFFECTS_MAX:
                    self._effects.append({"external_id": each.external_id or "", "effect": each.effect})
                else:
                    self._effects_dropped += 1


def _organizations(items: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for position, item in enumerate(items if isinstance(items, list) else [None]):
        match item:
            case {"ImportOrgId": str(org_id), "Name": str(name), **rest} if org_id and org_id not in found and not rest:
                found[org_id] = name
            case _:
                raise ValueError(f"organizations[{position}]: needs an ImportOrgId of its own and a Name, nothing else")
    return found


def _products(items: Any) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for position, item in enumerate(items if isinstance(items, list) else [None]):
        match item:
            case {"ProductCode": str(code), "ProgramCode": str(program), "ProductName": str(name), **rest} if (
                code and code not in found and not rest
            ):
                found[code] = {"ProductCode": code, "ProgramCode": program, "ProductName": name}
            case _:
                raise ValueError(
                    f"products[{position}]: needs a ProductCode of its own, ProgramCode and ProductName, nothing else"
                )
    return found


def _orders(items: Any, *, organizations: dict[str, str]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for position, item in enumerate(items if isinstance(items, list) else [None]):
        match item:
            case {"ImportOrgId": str(org_id), "ProgramCode": str(program), "Seats": int(seats), **rest} if (
                org_id in organizations and (org_id, program) not in found and seats >= 0 and not rest
            ):
                found[org_id, program] = seats
            case _:
                raise ValueError(f"orders[{position}]: needs a known ImportOrgId, a ProgramCode and Seats from 0, once")
    return found
