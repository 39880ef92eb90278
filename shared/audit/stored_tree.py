"""The log's tree as the database holds it: single nodes, and the roots and proofs that follow from them.

It reads and changes nothing. The auditor grows the tree, whoever proves an entry reads it; both find a node that is
missing here, and neither goes on without it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from shared.audit import tables
from shared.audit.tree import inclusion_proof_at, root_at


class RecordAltered(Exception):
    """The stored log does not lead to its own last checkpoint; nothing may be added until a person has looked."""


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """How far one stream is in the log."""

    last_seq: int = 0
    last_time_us: int = 0


def stored_node(connection: Connection, *, level: int, position: int) -> bytes:
    """The hash of one complete subtree; `RecordAltered` when the database lacks it."""
    if level == 0:
        query = select(tables.entry.c.leaf_hash).where(tables.entry.c.entry_index == position)
    else:
        node = tables.tree_node.c
        query = select(node.hash).where(node.level == level, node.position == position)
    found = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise RecordAltered(
            f"the audit log lacks node {position} of level {level}; restore the database from its backup, "
            "or rebuild it from the streams"
        )
    return bytes(found)


def stored_root(connection: Connection, size: int) -> bytes:
    """The root which the log had at a size, from its stored nodes."""

    def node(*, level: int, position: int) -> bytes:
        return stored_node(connection, level=level, position=position)

    return root_at(node, size=size)


def stored_inclusion(connection: Connection, *, index: int, size: int) -> list[bytes]:
    """The inclusion proof of one entry in the log of a size, from its stored nodes; nearest sibling first."""

    def node(*, level: int, position: int) -> bytes:
        return stored_node(connection, level=level, position=position)

    return inclusion_proof_at(node, index=index, size=size)
