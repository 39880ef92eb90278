"""One change: what becomes of one target record, with the exact write that does it.

A change is finished when it is planned: it names the record, what it was and will be, the precondition under which
it may be carried out, and the write as it goes over the wire. The applier chooses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from shared.events.model import Document
from shared.hashing.canonical import canonical_json, sha256_hex
from shared.hashing.commitment import commit
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
    body: dict[str, Value] | None


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


def change_id_of(*, target: str, entity: str, key: str, change_class: ChangeClass, after_commitment: str) -> str:
    """The identity of a change: equal intentions have equal ids, whatever the run."""
    return sha256_hex(
        canonical_json(
            {
                "target": target,
                "entity": entity,
                "key": key,
                "class": change_class.value,
                "after": after_commitment,
            }
        )
    )


def state_commitment(commitment_key: bytes, values: Mapping[str, Value]) -> str:
    """Commitment to a set of field values; fields are taken in name order."""
    return commit(commitment_key, dict(values))


def leaf_of(change: Change) -> bytes:
    """The change as it enters the plan's digest: personal values replaced by commitments under the record's key.

    Canonical JSON. Anybody who holds the page can compute it; who holds only the digest learns no value.
    """
    key = bytes.fromhex(change.commitment_key)
    return canonical_json(
        {
            "change_id": change.change_id,
            "target": change.target,
            "entity": change.entity,
            "key": commit(key, change.key),
            "target_id": change.target_id,
            "class": change.change_class.value,
            "verb": change.verb,
            "fields": [
                {
                    "name": field.name,
                    "before": commit(key, field.before),
                    "after": commit(key, field.after),
                    "cause": field.cause.value,
                }
                for field in change.fields
            ],
            "precondition": change.precondition,
            "write": {
                "method": change.write.method,
                "path": change.write.path,
                "body": commit(key, change.write.body),
            },
            "wave": change.wave,
        }
    )
