"""How long the house keeps what, and who sees to it: one row for each stream and each table.

Data only. The rows of the streams repeat the table of the bus, which the server enforces; a test holds the two
together, and refuses a table of a database that has no row here. Nothing that proves what was done has an end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

DAY_SECONDS: Final = 86_400
LISTINGS_KEEP_DAYS: Final = 90
LISTINGS_KEEP_DAYS_MIN: Final = 30
"""As long as the plan itself lies on the bus: who can see the one can see the other."""
LISTINGS_KEEP_DAYS_MAX: Final = 3_650

Personal = Literal["none", "commitments", "masked", "plain"]
"""What stands there of the people whose records are mirrored: nothing but ids, digests and counts; values behind
commitments; values shown in part; values as they were read. The house's own users are no such people."""
Enforcer = Literal["the server, by age", "the server, by subject", "nobody: it only grows", "the program", "its writer"]
"""Who takes away what is too old. *By subject*: one message a subject, the newest. *Its writer*: overwritten in place,
one row for each thing that exists."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What one place holds, and for how long."""

    place: str
    """`stream NAME`, or `SERVICE.table`."""
    personal: Personal
    kept_seconds: int | None
    """None: without end."""
    enforced_by: Enforcer
    because: str


RETENTION: Final[tuple[Retention, ...]] = (
    # -- the bus
    Retention("stream CORE", "none", None, "nobody: it only grows", "what was asked, decided and done"),
    Retention("stream LEDGER", "commitments", None, "nobody: it only grows", "what was written, never to be twice"),
    Retention("stream PLAN", "plain", 30 * DAY_SECONDS, "the server, by age", "the exact writes"),
    Retention("stream SNAP", "plain", 3 * DAY_SECONDS, "the server, by age", "can be read again from the systems"),
    Retention("stream LEASE", "none", None, "the server, by subject", "who holds what, each with a time to live"),
    Retention("stream BUDGET", "none", None, "the server, by subject", "when the next request may go out"),
    Retention("stream SCHED", "none", None, "the server, by subject", "when which connector runs next"),
    Retention("stream DLQ", "plain", 90 * DAY_SECONDS, "the server, by age", "what nobody could work off"),
    # -- the auditor's record
    Retention("auditor.entry", "commitments", None, "nobody: it only grows", "the audit log: append-only by trigger"),
    Retention("auditor.tree_node", "none", None, "nobody: it only grows", "what proofs are made of"),
    Retention("auditor.checkpoint", "none", None, "nobody: it only grows", "the signed roots"),
    Retention("auditor.progress", "none", None, "its writer", "how far each stream was read"),
    Retention("auditor.writer", "none", None, "its writer", "the last lease that wrote"),
    # -- what is projected from it
    Retention("auditor.run", "none", None, "nobody: it only grows", "one row a run: the history of the house"),
    Retention("auditor.run_event", "none", None, "nobody: it only grows", "what answers about a run show"),
    Retention("auditor.change_outcome", "none", None, "nobody: it only grows", "what became of each change"),
    Retention("auditor.dead_letter", "none", None, "nobody: it only grows", "code and reason, without the message"),
    Retention("auditor.plan_review", "none", None, "nobody: it only grows", "what was approved, in numbers"),
    Retention("auditor.plan_change", "masked", LISTINGS_KEEP_DAYS * DAY_SECONDS, "the program", "to look through"),
    Retention("auditor.plan_change_body", "masked", LISTINGS_KEEP_DAYS * DAY_SECONDS, "the program", "as above"),
    Retention("auditor.plan_aside", "masked", LISTINGS_KEEP_DAYS * DAY_SECONDS, "the program", "as above"),
    # -- the differ's memory
    Retention("differ.target_record", "commitments", None, "its writer", "what was last written to each record"),
    Retention("differ.missed_record", "none", None, "its writer", "strikes; gone when the record is back"),
    Retention("differ.entity_record", "none", None, "its writer", "one row for each entity"),
    Retention("differ.run_statistics", "none", 400 * DAY_SECONDS, "the program", "what is usual in a school year"),
    Retention("differ.accepted_rows", "none", None, "its writer", "rows of the last accepted read"),
    # -- the console's accounts
    Retention("console.account", "none", None, "its writer", "who may sign in; an admin takes an account away"),
    Retention("console.recovery_code", "none", None, "its writer", "hashes; gone when they are used or made anew"),
    Retention("console.session", "none", DAY_SECONDS, "the program", "who is signed in, as hashes"),
    Retention("console.access_review", "none", None, "nobody: it only grows", "that somebody looked who has access"),
    Retention("console.seen_roles", "none", None, "its writer", "roles as they were last seen"),
)  # fmt: skip


def retention_of(place: str) -> Retention:
    """The row of a place; KeyError when the table has none."""
    return _BY_PLACE[place]


_BY_PLACE: Final = {row.place: row for row in RETENTION}
