"""What an answer of Google's directory means, by the reason that it gives. Pure.

The code alone does not tell: 403 is a rate as often as a right that is missing, 412 a full account or a record that has
moved, 404 somebody who is not there yet. Reasons are those of the vendor's pages on limits and on errors, and of what
programs report (SYSTEMS 6.4 and 6.5 of the field notes, read 2026-11-22).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from shared.http.shape import Json
from shared.ports.wire import ChangeVerb
from systems.google_directory.entities import MEMBERS, ORG_UNITS, USERS

Meaning = Literal[
    "rate",
    "auth",
    "permission",
    "missing",
    "not_yet",
    "busy",
    "moved",
    "taken",
    "refused",
    "capacity",
    "odd",
    "doubtful",
]
"""`not_yet`: surely not done, because what it builds on is not finished; `taken`: an address that somebody else has;
`odd`: nobody of the interface speaks so; `doubtful`: the same, where it is open what was done."""

Verb = ChangeVerb | None
"""None for a read."""

_RATES: Final = frozenset({"userRateLimitExceeded", "rateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"})
PERMISSIONS: Final[Mapping[str, str]] = {
    "forbidden": "the subject's administrator role does not cover this; give it a role that does, or another subject",
    "insufficientPermissions": "the token's scopes do not cover this; delegate the scopes that README.md lists",
    "accessNotConfigured": "the Admin SDK API is not enabled in the service account's project; enable it there",
    "domainCannotUseApis": "the account does not allow the use of its interface; have its administrator allow it",
}
_REFUSALS: Final = frozenset({"invalid", "required", "badRequest", "invalidParameter", "requestTooLarge"})
_SETTLING: Final = "user creation is not complete"
_CYCLE: Final = "cyclic memberships"
_NO_PARENT: Final = "invalid parent orgunit"
_NOT_EMPTY: Final = "is not empty"
_FIELDS: Final[Mapping[str, str]] = {
    "invalid_ou_id": "org_unit_path",
    "invalid ou id": "org_unit_path",
    "orgunitpath": "org_unit_path",
    "primary_user_email": "email",
    "primaryemail": "email",
    "given name": "given_name",
    "givenname": "given_name",
    "family name": "family_name",
    "familyname": "family_name",
    "displayname": "display_name",
    "recoveryemail": "recovery_email",
    "recovery_email": "recovery_email",
    "recoveryphone": "recovery_phone",
    "recovery_phone": "recovery_phone",
    "password": "password",
    "description": "description",
    "memberkey": "member_email",
    "role": "role",
}
"""Words in a refusal's text that stand for a column; nothing else of the text is ever told, for it may hold values."""
_WORD: Final = re.compile("|".join(map(re.escape, sorted(_FIELDS, key=len, reverse=True))))
_TEXT_MAX: Final = 2_000


@dataclass(frozen=True)
class Said:
    """What the interface itself said of a refusal."""

    reason: str
    text: str
    """In small letters; may hold personal values."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that it complains about, as far as it names them."""
        return tuple(sorted({_FIELDS[word] for word in _WORD.findall(self.text)}))


def said_in(body: Json) -> Said | None:
    """What an error body says; None when the interface does not speak so."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    errors, message = error.get("errors"), error.get("message")
    first = errors[0] if isinstance(errors, list) and errors else None
    reason = first.get("reason") if isinstance(first, dict) else None
    text = message if isinstance(message, str) else ""
    return Said(reason if isinstance(reason, str) else "", text[:_TEXT_MAX].casefold())


def meaning_of(status: int, said: Said | None, *, entity: str, verb: Verb) -> Meaning:
    """What a refusal means to a request; `said` is None where a proxy or another program may have answered."""
    if status == 429:
        return "rate"
    if status == 401:
        return "auth"
    by_reason = None if said is None else _by_reason(said, entity, verb)
    return by_reason or _of_status(status, verb)


def _by_reason(said: Said, entity: str, verb: Verb) -> Meaning | None:
    reason = said.reason
    found: Meaning | None = None
    if reason in _RATES:
        found = "rate"
    elif _SETTLING in said.text:
        found = "not_yet"  # whatever the code is: no document states it
    elif reason in PERMISSIONS:
        found = "permission"
    elif reason == "notFound":
        found = _of_missing(entity, verb)
    elif verb is not None:
        found = _of_refused_write(said, entity, verb)
    elif reason == "conditionNotMet":
        found = "busy"
    return found


def _of_refused_write(said: Said, entity: str, verb: ChangeVerb) -> Meaning | None:
    match said.reason:
        case "duplicate":
            # Whoever changes an address meets somebody else's; whoever makes a record may meet his own.
            return "moved" if verb == "create" else "taken"
        case "limitExceeded":
            return "capacity"
        case "conditionNotMet":
            return "refused" if _CYCLE in said.text or _NOT_EMPTY in said.text else "moved"
        case reason if reason in _REFUSALS:
            is_early = entity == ORG_UNITS and verb == "create" and _NO_PARENT in said.text
            return "not_yet" if is_early else "refused"
    return None


def _of_missing(entity: str, verb: Verb) -> Meaning:
    if verb is None:
        return "missing"
    if verb != "create":
        return "moved"
    match entity:
        case _ if entity in (MEMBERS, ORG_UNITS):
            # The group, the member or the parent was made a moment ago, as a rule, and is not known everywhere yet.
            return "not_yet"
        case _ if entity == USERS:
            return "refused"  # the domain of its address is not one of the account's
    return "odd"


def _of_status(status: int, verb: Verb) -> Meaning:
    """Where no known reason stands: a proxy may have answered, or another program."""
    if status == 403:
        return "permission"
    if status >= 500 or status == 408:
        # A burst of creations is answered with 503; nothing says that such a one was not made.
        return "busy" if verb is None else "doubtful"
    # Many programs redirect after they have done it, and a success of another shape may be one.
    return "odd" if verb is None or 400 <= status < 500 else "doubtful"
