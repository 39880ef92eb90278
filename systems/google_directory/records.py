"""How the answers of Google's directory are read: pages, records, memberships. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.http.rows import Rows, record_of, rows_of
from shared.http.shape import Json, WrongShape
from shared.ports.wire import Value
from systems.google_directory.entities import GoogleEntity, entity_of

PAGE_TOKEN_CHARACTERS_MAX: Final = 8_192
_IGNORED: Final = frozenset({"kind", "etag"})
_SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "users": ("primaryEmail", "orgUnitPath", "suspended", "archived"),
    "groups": ("email", "name"),
    "members": ("role",),
    "org_units": ("name", "parentOrgUnitPath"),
}
"""What the answer to a write must show as it was sent; other fields come back in another spelling."""


@dataclass(frozen=True)
class ListPage:
    """One page as it came."""

    items: Sequence[Json]
    next_token: str | None
    """What leads to the next page; None on the last one."""


@dataclass(frozen=True)
class GroupSeen:
    """A group whose members are asked for."""

    id: str
    email: str
    members: int
    """How many direct members it says it has."""


def page_of(described: GoogleEntity, body: Json) -> ListPage:
    """A page of a list; `WrongShape` for anything else. An empty list may leave its array out, and all else."""
    if not isinstance(body, dict) or body.get("kind") != described.list_kind:
        raise WrongShape("/kind", f"is not {described.list_kind}")
    if described.items not in body and not body.keys() <= _IGNORED:
        raise WrongShape(f"/{described.items}", "is missing, and something else is there")
    items = body.get(described.items, [])
    if not isinstance(items, list):
        raise WrongShape(f"/{described.items}", "is no list")
    token = body.get("nextPageToken")
    if token is not None and (not isinstance(token, str) or not 0 < len(token) <= PAGE_TOKEN_CHARACTERS_MAX):
        raise WrongShape("/nextPageToken", f"is no text of 1 to {PAGE_TOKEN_CHARACTERS_MAX} characters")
    return ListPage(items, token)


def rows_in(entity: str, items: Sequence[Json]) -> Rows:
    """The records of a page by column; `WrongShape` names the place of what is not as agreed."""
    described = entity_of(entity)
    return rows_of(list(items), described.shapes, pointer=f"/{described.items}", ignored=_IGNORED)


def row_of(entity: str, item: Json) -> dict[str, Value]:
    """One record by column; `WrongShape` as above."""
    described = entity_of(entity)
    if not isinstance(item, dict) or item.get("kind") != described.kind:
        raise WrongShape("/kind", f"is not {described.kind}")
    return record_of(item, described.shapes)


def id_in(item: Json, *, name: str = "id") -> str:
    """The id of a record; `WrongShape` where there is none."""
    found = item.get(name) if isinstance(item, dict) else None
    # A blank or dotted id names no record: the path made of it would be another record's.
    if not isinstance(found, str) or found in ("", ".", ".."):
        raise WrongShape(f"/{name}", "is no id")
    return found


def group_in(item: Json) -> GroupSeen:
    """A group by what its members are asked for with."""
    row = record_of(item, entity_of("groups").shapes)
    email, members = row["email"], row["members"]
    assert isinstance(email, str), "its shape says so"  # noqa: S101 - own invariant
    assert isinstance(members, int), "its shape says so"  # noqa: S101 - own invariant
    return GroupSeen(id_in(item), email, members)


def membership(item: Json, *, group_id: str, group_email: str) -> Json:
    """A member of a group as the record of its membership; the whole account as a member has no address."""
    member_id = id_in(item)
    assert isinstance(item, dict), "it has an id"  # noqa: S101 - own invariant
    name = item.get("email") or member_id
    return {
        **item,
        "targetId": f"{group_id}/{member_id}",
        "groupEmail": group_email,
        "membershipKey": f"{group_email}/{name}",
    }


def not_as_sent(entity: str, *, sent: Mapping[str, Json], answer: Json) -> tuple[str, ...]:
    """Names of what the answer to a write shows otherwise than it was sent; letters may change their case."""
    shown = answer if isinstance(answer, dict) else {}
    return tuple(name for name in _SHOWN[entity] if name in sent and _folded(sent[name]) != _folded(shown.get(name)))


def _folded(value: Json) -> Json:
    return value.casefold() if isinstance(value, str) else value
