"""The audit entry: one fact of the log, and the exact bytes that become its leaf.

Entries hold ids, digests, counts and codes; personal values stay behind commitments. The fields are a released format:
one more or one less would change the leaf of every entry ever written, so a new shape is a new model beside this one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.hashing.canonical import INTEGER_MAX, canonical_json
from shared.hashing.merkle import leaf_hash

RUN_SEALED = "aether.run.sealed.v1"
"""The type of the entry that ends a run; its summary holds `planned` and the nine counts."""

OUTCOME_COUNTS = (
    "applied",
    "noop_already",
    "stale_skipped",
    "dependency_skipped",
    "deferred",
    "quarantined",
    "failed",
    "unknown",
    "not_attempted",
)
"""The nine that every planned change falls into exactly one of."""

NAME_CHARS_MAX = 512
SUMMARY_KEYS_MAX = 256
SUMMARY_TEXT_CHARS_MAX = 1024


def _a_real_moment(text: str) -> str:
    datetime.fromisoformat(text)  # the pattern lets 31 February through, this does not
    return text


_RFC3339_UTC = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"
Moment = Annotated[str, Field(pattern=_RFC3339_UTC), AfterValidator(_a_real_moment)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)]
Number = Annotated[int, Field(ge=-INTEGER_MAX, le=INTEGER_MAX)]
Ordinal = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
SummaryText = Annotated[str, Field(max_length=SUMMARY_TEXT_CHARS_MAX)]


class AuditEntry(BaseModel):
    """One entry of the audit log, as it is hashed, stored and exported."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    index: Ordinal
    """The place in the log, from 0, without gaps."""

    recorded_at: Moment
    """When the auditor appended it: RFC 3339 in UTC, ending in `Z`."""

    stream: Name
    """The stream of the bus on which the fact arrived."""

    stream_seq: Ordinal
    """The fact's sequence in that stream."""

    subject: Name
    """The bus subject on which it was published."""

    type: Name
    """The CloudEvents type, as `aether.run.sealed.v1`."""

    run: Name | None
    """The run it belongs to, if any."""

    actor: Name | None
    """Who did it: an id of a person or a program, never a name; None where nobody acted."""

    occurred_at: Moment
    """When it happened by the publisher's word: RFC 3339 in UTC, ending in `Z`."""

    payload_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the event's data as it crossed the bus, in 64 hexadecimal digits."""

    summary: Annotated[dict[Name, SummaryText | Number | bool | None], Field(max_length=SUMMARY_KEYS_MAX)]
    """Counts, codes and ids that a reader needs without the payload; no personal values."""

    def leaf_bytes(self) -> bytes:
        """The canonical JSON of the entry: what is hashed, and one line of an export."""
        return canonical_json(self.model_dump(mode="json"))

    def leaf_hash(self) -> bytes:
        """The entry's leaf in the tree."""
        return leaf_hash(self.leaf_bytes())


def sum_fault(entry: AuditEntry) -> str:
    """What is wrong with the counts of a sealed run, or an empty text; other entries have none to be wrong."""
    if entry.type != RUN_SEALED:
        return ""
    counts: dict[str, int] = {}
    for name in ("planned", *OUTCOME_COUNTS):
        value = entry.summary.get(name)
        # A bool is an int to Python, and not a count to anybody.
        if type(value) is not int or value < 0:
            shown = "is missing" if name not in entry.summary else f"is {value!r}"
            return f"sealed run {entry.run}: count '{name}' {shown}, expected a whole number from 0"
        counts[name] = value
    planned = counts.pop("planned")
    total = sum(counts.values())
    if planned == total:
        return ""
    shown = " + ".join(f"{name} {value}" for name, value in counts.items() if value) or "all nine 0"
    return f"sealed run {entry.run}: planned {planned}, but {shown} = {total}; {abs(planned - total)} unaccounted for"
