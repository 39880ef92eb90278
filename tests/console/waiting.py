"""A plan that waits for a decision: the house's superseded run, put back in a copy of the record to where it waited."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.plan.subset import left_out_root
from shared.policy.approval import Approval, SignedApproval

OVER_AT = "2099-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class Waiting:
    """The plan that waits."""

    record: Path
    run: str
    digest: str
    verdict_digest: str
    ids: tuple[str, ...]
    """Of its changes, in order."""

    @property
    def page(self) -> str:
        """Where it is reviewed."""
        return f"/runs/{self.run}/plan"

    def ids_of(self, change_class: str) -> tuple[str, ...]:
        """The changes of one class, in order."""
        with closing(sqlite3.connect(self.record)) as record:
            query = "select change_id from plan_change where run = ? and change_class = ? order by position"
            return tuple(row[0] for row in record.execute(query, (self.run, change_class)))

    def change_bodies(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Write other texts into every change as it is shown."""
        with closing(sqlite3.connect(self.record)) as record, record:
            rows = record.execute("select position, body from plan_change_body where run = ?", (self.run,)).fetchall()
            record.executemany(
                "update plan_change_body set body = ? where run = ? and position = ?",
                [(json.dumps(change(json.loads(body))), self.run, position) for position, body in rows],
            )

    def change_review(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Write something else into the plan's header as it is shown."""
        with closing(sqlite3.connect(self.record)) as record, record:
            (body,) = record.execute("select body from plan_review where run = ?", (self.run,)).fetchone()
            record.execute(
                "update plan_review set body = ? where run = ?", (json.dumps(change(json.loads(body))), self.run)
            )


def waiting_plan(
    record: Path,
    *,
    status: str = "held",
    level: str = "HOLD",
    requester: str = "operator",
    approved_by: tuple[str, ...] = (),
    subset: str = "ALL",
    deferred: int = 0,
    by_class: dict[str, int] | None = None,
) -> Waiting:
    """Put a plan of 139 changes back to where it waits, as the guard and earlier approvers left it."""
    with closing(sqlite3.connect(record)) as store, store:
        run, text = store.execute("select run, state from run where status = 'superseded'").fetchone()
        query = "select change_id from plan_change where run = ? order by position"
        ids = tuple(row[0] for row in store.execute(query, (run,)))
        state = json.loads(text)
        plan = state["plan"] | {"verdict_level": level, "expires_at": OVER_AT}
        plan["changes_by_class"] = by_class or plan["changes_by_class"]
        state |= {
            "status": status,
            "failure": None,
            "requester": requester,
            "plan": plan,
            "deferred": list(ids[:deferred]),
            "approvals": [_approval(run, plan, name, subset, ids[:deferred]) for name in approved_by],
        }
        store.execute("update run set status = ?, state = ? where run = ?", (status, json.dumps(state), run))
    return Waiting(record, run, plan["plan_digest"], plan["verdict_digest"], ids)


def _approval(run: str, plan: dict[str, Any], approver: str, subset: str, left_out: tuple[str, ...]) -> dict[str, Any]:
    approval = Approval(
        run=run,
        plan_digest=plan["plan_digest"],
        verdict_digest=plan["verdict_digest"],
        subset=subset,
        left_out_root=left_out_root(left_out),
        decision="approve",
        approver=approver,
        reason="checked against the list of the year",
        nonce="n" * 26,
        signed_at="2026-01-01T00:00:00.000Z",
        expires_at=OVER_AT,
    )
    return SignedApproval(approval=approval, signature="AA==").model_dump(mode="json")
