"""Why a field differs: told from what we wrote last and from the contract clause under which we wrote it.

Pure. Three sides are looked at: what is desired, what we wrote last (as a commitment), and what the target shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.differ.comparing import Memory
from shared.plan.change import Cause
from shared.ports.wire import Value

CommitTo = Callable[[object], str]
"""Makes commitments under the record's key; see `shared.hashing.commitment.committer`."""


def cause_of(
    name: str, desired: Value, *, memory: Memory | None, commit_to: CommitTo, clause_digests: Mapping[str, str]
) -> Cause:
    """The cause of a field that differs from what is desired.

    Never written: the source brought it. Written just so: somebody changed the target. Written otherwise under another
    clause: the contract changed. Otherwise the source did.
    """
    written = None if memory is None else memory.written.get(name)
    if memory is None or written is None:
        return Cause.SOURCE_CHANGE
    if written == commit_to(desired):
        return Cause.DRIFT
    then, now = memory.clauses.get(name), clause_digests.get(name)
    if then is not None and now is not None and then != now:
        return Cause.CONTRACT_CHANGE
    return Cause.SOURCE_CHANGE


def is_held(memory: Memory | None, desired: Mapping[str, Value] | None, *, commit_to: CommitTo) -> bool:
    """Whether the record is held from changes: its source says now what it said when it was held.

    `desired` is None for a record that is desired no longer. A held field that the contract does not know any more
    counts as changed.
    """
    if memory is None or memory.held_against is None:
        return False
    if desired is None or not memory.held_against:
        return desired is None and not memory.held_against
    return all(
        name in desired and commit_to(desired[name]) == commitment for name, commitment in memory.held_against.items()
    )
