"""What the page of access shows: who may do what, with what they sign in, and whose duties meet.

It reads nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from services.console.accounts.people import fingerprint
from services.console.accounts.store import Account, Review, Session
from shared.hashing.canonical import canonical_json, sha256_hex
from shared.policy.approval import Person

DUTIES: tuple[tuple[str, str], ...] = (
    ("requests", "operator"),
    ("approves", "approver"),
    ("edits policy", "steward"),
    ("gives accounts", "admin"),
    ("reads the log", "auditor"),
)
"""What a role lets a person do, of the duties that are to be kept apart."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PersonAccess(_Model):
    """One person."""

    user: str
    roles: tuple[str, ...]
    duties: tuple[str, ...]
    conflict: str | None
    """Duties that meet in this person, in words."""
    signs_with: str | None
    """Fingerprint of the approval key."""
    account: str
    """`open`, `closed`, `locked` or `none`."""
    has_second_factor: bool
    signed_in_at: datetime | None
    sessions: int
    is_known: bool
    """Whether the identities file (still) has this person."""


class AccessReview(_Model):
    """One review."""

    at: datetime
    by: str
    digest: str
    people: int
    note: str


class AccessPage(_Model):
    """Who may do what."""

    people: tuple[PersonAccess, ...]
    reviews: tuple[AccessReview, ...]
    digest: str
    """Over people, roles, keys and accounts: what a review binds."""


def access_page(
    people: Mapping[str, Person],
    accounts: Sequence[Account],
    sessions: Sequence[Session],
    reviews: Sequence[Review],
    *,
    now: datetime,
) -> AccessPage:
    """The page from what is known."""
    by_user = {account.user: account for account in accounts}
    shown = tuple(
        _person(user, people.get(user), by_user.get(user), sessions, now=now)
        for user in sorted(people.keys() | by_user.keys())
    )
    # A lock comes and goes by itself and changes nobody's access: it must not make a review stale.
    bound = [
        [one.user, list(one.roles), one.signs_with, "open" if one.account == "locked" else one.account,
         one.has_second_factor]
        for one in shown
    ]  # fmt: skip
    return AccessPage(
        people=shown,
        reviews=tuple(
            AccessReview(at=one.at, by=one.by, digest=one.digest, people=one.people, note=one.note) for one in reviews
        ),
        digest=f"sha256:{sha256_hex(canonical_json(bound))}",
    )


def conflict_of(roles: Sequence[str]) -> str | None:
    """What a reviewer should ask about; who requests and approves cannot do both for one run."""
    held = set(roles)
    if "approver" in held and held & {"steward", "admin"}:
        return "approves what they may also allow; the house refuses this"
    if {"operator", "approver"} <= held:
        return "requests and approves, though never the same run"
    if {"admin", "auditor"} <= held:
        return "gives accounts and reviews them"
    return None


def _person(
    user: str, person: Person | None, account: Account | None, sessions: Sequence[Session], *, now: datetime
) -> PersonAccess:
    roles = tuple(sorted(person.roles)) if person is not None else ()
    state = "none"
    if account is not None:
        is_locked = account.locked_until is not None and now < account.locked_until
        state = "closed" if account.is_closed else "locked" if is_locked else "open"
    return PersonAccess(
        user=user,
        roles=roles,
        duties=tuple(duty for duty, role in DUTIES if role in roles),
        conflict=conflict_of(roles),
        signs_with=fingerprint(person.approval_key) if person is not None else None,
        account=state,
        has_second_factor=account is not None and account.sealed_secret is not None,
        signed_in_at=account.signed_in_at if account is not None else None,
        sessions=sum(one.user == user and one.expires_at > now for one in sessions),
        is_known=person is not None,
    )
