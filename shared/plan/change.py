"""One change: what becomes of one target record, with the exact write that does it.

A change is finished when it is planned: it names the record, what it was and will be, the precondition under which
it may be carried out, and the write as it goes over the wire. The applier chooses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue

from shared.events.model import Document, FailureCode
from shared.hashing.canonical import canonical_json_of_plain, sha256_hex
from shared.hashing.commitment import commit, committer
from shared.ports.wire import ChangeVerb, Value


class ChangeClass(StrEnum):
    """What kind of change it is; a change has one class, its riskiest."""

    CREATE = "create"
    UPDATE = "update"
    RENAME = "rename"
    ROLE_CHANGE = "role_change"
    PRIVILEGE_GAIN = "privilege_gain"
    NULL_OUT = "null_out"
    SUSPEND = "suspend"
    REACTIVATE = "reactivate"
    DELETE = "delete"
    MEMBER_ADD = "member_add"
    MEMBER_REMOVE = "member_remove"


DESTRUCTIVE = frozenset({ChangeClass.SUSPEND, ChangeClass.DELETE, ChangeClass.MEMBER_REMOVE})
"""Classes that take something away; they go in the last wave."""


class Cause(StrEnum):
    """Why a field differs."""

    SOURCE_CHANGE = "source_change"
    DRIFT = "drift"
    CONTRACT_CHANGE = "contract_change"
    SCOPE_CHANGE = "scope_change"
    EXPIRY = "expiry"


Mark = Literal["deferred"]
"""What a reviewer should know of a change from earlier runs: `deferred`, it was left out of an approval before."""


class FieldChange(Document):
    """One field, before and after."""

    name: str
    before: Value
    """As the target showed it; null for a create."""
    after: Value
    """As it will be written."""
    cause: Cause


class Write(Document):
    """The wire write, as it goes out."""

    method: str
    path: str
    """Below the connection's base address."""
    body: dict[str, JsonValue] | None


class Change(Document):
    """One intended operation on one target record."""

    change_id: str
    """SHA-256 over target, entity, key, class and after-state commitment; hex."""
    target: str
    """Name of the target connection."""
    entity: str
    key: str
    """Our key of the record."""
    target_id: str | None
    """The target's own id; null for a create."""
    change_class: ChangeClass
    verb: ChangeVerb
    fields: tuple[FieldChange, ...]
    """Changed fields in contract order."""
    precondition: str | None
    """Commitment to the record's compared fields as the target showed them; null when the record must not exist."""
    write: Write
    commitment_key: str
    """Key of this record's commitments, hex. It travels with the page, never with the audit log."""
    wave: int = Field(ge=1)
    """Order of execution; destructive changes stand in the last wave."""
    cohort: str | None = None
    """Cohort in which the guard counts it, as `location=TL-010, role=TEACHER`; null where the contract names none. It
    follows from the record, which a change does not hold whole."""
    marks: tuple[Mark, ...] = ()
    """For the reviewer only: marks are part of no digest of the plan and change nothing."""


class Aside(Document):
    """A change that the comparison found and left out of the plan, and why. It is shown and never carried out."""

    entity: str
    key: str
    """Our key of the record."""
    target_id: str | None
    change_class: ChangeClass
    """What it would have been."""
    fields: tuple[str, ...]
    """Names of the fields that would have changed."""
    code: FailureCode
    """Code of the catalogue: why it was left out."""
    commitment_key: str | None = None
    """Key of this record's commitments, hex, as on a change. Without one the record's key is in no digest."""


def change_id_of(*, target: str, entity: str, key: str, change_class: ChangeClass, after_commitment: str) -> str:
    """The identity of a change: equal intentions have equal ids, whatever the run."""
    return sha256_hex(
        canonical_json_of_plain(
            {
                "target": target,
                "entity": entity,
                "key": key,
                "class": change_class,
                "after": after_commitment,
            }
        )
    )


def state_commitment(commitment_key: bytes, values: Mapping[str, Value]) -> str:
    """Commitment to a set of field values; fields are taken in name order."""
    return commit(commitment_key, dict(values))


def leaf_of(change: Change) -> bytes:
    """The change as it enters the plan's digest: personal values replaced by commitments under the record's key.

    Canonical JSON. Anybody who holds the page can compute it; who holds only the digest learns no value. Marks are
    not in it; the cohort is where there is one.
    """
    commitment_to = committer(bytes.fromhex(change.commitment_key))
    nothing = ""  # what every field of a create was before; committed to once, and only where it is needed
    return canonical_json_of_plain(
        {
            "change_id": change.change_id,
            "target": change.target,
            "entity": change.entity,
            "key": commitment_to(change.key),
            "target_id": change.target_id,
            "class": change.change_class,
            "verb": change.verb,
            "fields": [
                {
                    "name": field.name,
                    "before": commitment_to(field.before)
                    if field.before is not None
                    else (nothing := nothing or commitment_to(None)),
                    "after": commitment_to(field.after),
                    "cause": field.cause,
                }
                for field in change.fields
            ],
            "precondition": change.precondition,
            "write": {
                "method": change.write.method,
                "path": change.write.path,
                "body": commitment_to(change.write.body),
            },
            "wave": change.wave,
            **({} if change.cohort is None else {"cohort": commitment_to(change.cohort)}),
        }
    )


def aside_leaf_of(aside: Aside) -> bytes:
    """What was left out as it enters the digest over all that was: the record's key replaced by a commitment."""
    subject_key = None if aside.commitment_key is None else bytes.fromhex(aside.commitment_key)
    return canonical_json_of_plain(
        {
            "entity": aside.entity,
            "key": None if subject_key is None else commit(subject_key, aside.key),
            "target_id": aside.target_id,
            "class": aside.change_class,
            "fields": aside.fields,
            "code": aside.code,
        }
    )
