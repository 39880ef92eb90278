"""The records of a simulated Google account, as they are kept; a changed record is a new one.

Plain data. How a record looks to a caller is in `views`, what may happen to it in the modules of the resources.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""When seeded records were made unless the seed says otherwise: long enough ago for every delay to be over."""


class Aged(Protocol):
    """Whatever has a primary address that may have been changed lately."""

    @property
    def email(self) -> str:
        """The primary address."""
        ...

    @property
    def renamed_from(self) -> str | None:
        """The primary address before."""
        ...

    @property
    def renamed_at(self) -> datetime | None:
        """When it was changed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One user, living or deleted."""

    id: str
    email: str
    unit_id: str
    given: str
    family: str
    display: str | None = None
    suspended: bool = False
    suspended_at: datetime | None = None
    archived: bool = False
    archived_at: datetime | None = None
    is_admin: bool = False
    is_delegated_admin: bool = False
    members: dict[str, Any] = field(default_factory=dict)
    """Every other writable member of the resource that has a value."""
    aliases: tuple[str, ...] = ()
    created: datetime = LONG_AGO
    version: int = 1
    renamed_from: str | None = None
    renamed_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def external_id(self) -> str:
        """The caller's key: the first external id, or the address where there is none."""
        items = self.members.get("externalIds") or [{}]
        return str(items[0].get("value") or self.email)

    def external_ids(self) -> list[str]:
        """The texts that a search for an external id looks at."""
        return [str(item.get("value", "")) for item in self.members.get("externalIds", ())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group, without its members."""

    id: str
    email: str
    name: str
    description: str = ""
    external_ids: tuple[dict[str, Any], ...] = ()
    aliases: tuple[str, ...] = ()
    created: datetime = LONG_AGO
    version: int = 1
    renamed_from: str | None = None
    renamed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One member of one group; what it is, is looked up by its id."""

    member_id: str
    role: str = "MEMBER"
    delivery: str | None = None
    outside_email: str | None = None
    """The address of a member from outside; None for users, groups and the whole customer."""
    added: datetime = LONG_AGO
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One organisational unit; the root has no parent and the path `/`."""

    id: str
    name: str
    parent_id: str | None
    path: str
    description: str = ""
    version: int = 1


def stamp(moment: datetime) -> str:
    """Write a time as the API does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def moment_of(text: Any) -> datetime:
    """Read a time with its zone; `ValueError` when it is none."""
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a time")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return moment
