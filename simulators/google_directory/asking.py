"""One API call on its way to a resource, and what the resource gives back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulators.google_directory.directory import Directory
from simulators.google_directory.errors import Refused
from simulators.google_directory.methods import Method
from simulators.google_directory.switches import GoogleSwitches

MY_CUSTOMER = "my_customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """An authorised call whose parameters and body have the right names and types."""

    method: Method
    keys: dict[str, str]
    """The parameters of the path."""
    query: dict[str, str]
    body: dict[str, Any]
    now: datetime
    switches: GoogleSwitches
    directory: Directory
    pretend: bool
    note: Callable[[str, str], None]
    """Records a broken rule that the vendor does not answer with a refusal: rule and text."""

    @property
    def verb(self) -> str:
        """The last part of the method's name, such as `insert`."""
        return self.method.name.rsplit(".", maxsplit=1)[1]

    def flag(self, name: str) -> bool:
        """Read a yes or no of the query; no when absent."""
        return self.query.get(name, "").lower() == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a call comes to."""

    document: dict[str, Any] | None = field(default=None)
    """None is an empty answer, 204."""
    code: int = 200
    effect: str = "none"
    external_id: str | None = None
    record_id: str | None = None


def done(ask: Ask, verb: str, record_id: str, external_id: str, **more: Any) -> Result:
    """Report an effect, unless it was only pretended."""
    changed = more.pop("changed", None)
    effect = f"{verb} {record_id}" + (f" [{', '.join(changed)}]" if changed else "")
    return Result(effect="none" if ask.pretend else effect, external_id=external_id, record_id=record_id, **more)


def check_customer(directory: Directory, customer: str) -> None:
    """Refuse a customer that is not this account (C8)."""
    if customer not in {MY_CUSTOMER, directory.customer_id}:
        raise Refused("badRequest", "Bad Request", rule="C8")


def is_my_domain(directory: Directory, address: str) -> bool:
    """Tell whether an address belongs to a domain of the account."""
    return address.rpartition("@")[2].lower() in directory.domains


def check_new_address(ask: Ask, address: str, *, holder_id: str | None) -> None:
    """Refuse an address that is malformed, foreign or taken (U4, U5, U11)."""
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain or any(letter.isspace() for letter in address):
        raise Refused("invalid", "Invalid Input: primary_user_email", rule="U4")
    if not is_my_domain(ask.directory, address):
        raise Refused("notFound", "Resource Not Found: domain")
    owner = ask.directory.owner_of(address)
    if owner is not None and owner[1] != holder_id:
        raise Refused("duplicate", "Entity already exists.")
    if ask.switches.deleted_address_blocks and ask.directory.is_held_by_deleted(address, now=ask.now):
        raise Refused("duplicate", "Entity already exists.")
