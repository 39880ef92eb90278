"""Documents of made-up runs and plans, as the auditor would answer them."""

from __future__ import annotations

from typing import Any

from shared.events.queries import ChangeView, MaskedField, PlanAnswer, RunAnswer, RunView
from shared.policy.guard import Level, VerdictLine
from shared.run.state import PlanSummary

RUN = "20261122T080000-abc234"
DIGEST = "sha256:" + "ab12" * 16
OTHER_DIGEST = "sha256:" + "0f" * 32


def plan_summary(**changed: Any) -> PlanSummary:
    """A plan of three creates and a suspension."""
    values: dict[str, Any] = {
        "plan_digest": DIGEST,
        "content_digest": OTHER_DIGEST,
        "verdict_digest": OTHER_DIGEST,
        "verdict_level": "PASS",
        "changes": 4,
        "changes_by_class": {"create": 3, "suspend": 1},
        "approvals_needed": 1,
        "created_at": "2026-11-22T08:00:00.000Z",
        "expires_at": "2026-11-23T08:00:00.000Z",
    }
    return PlanSummary(**{**values, **changed})


def run_view(status: str, **changed: Any) -> RunView:
    """A run in this state."""
    values: dict[str, Any] = {
        "run": RUN,
        "connector": "titanhst-staff",
        "connector_version": "1.0.0",
        "mode": "apply",
        "status": status,
        "requester": "operator",
        "requested_at": "2026-11-22T08:00:00.000Z",
        "changed_at": "2026-11-22T08:00:01.000Z",
        "plan": plan_summary(),
        "approvers": (),
        "counts": None,
        "failure": None,
        "is_sealed": False,
    }
    return RunView(**{**values, **changed})


def run_answer(status: str, **changed: Any) -> RunAnswer:
    """The answer about that run."""
    return RunAnswer(run=run_view(status, **changed))


def verdict_line(level: Level, text: str) -> VerdictLine:
    """One line of the guard."""
    return VerdictLine(
        check="create", scope="contacts", level=level, number=1, limit_count=None, limit_percent=None,
        denominator=None, code=None, text=text,
    )  # fmt: skip


def plan_answer(*changes: ChangeView, total: int | None = None) -> PlanAnswer:
    """The answer about that run's plan."""
    return PlanAnswer(run=RUN, plan=plan_summary(), changes=changes, total=len(changes) if total is None else total)


def change_view(key: str, **values: tuple[str | None, str | None]) -> ChangeView:
    """A change of these fields from one value to another."""
    return ChangeView(
        change_id=key,
        change_class="update",
        entity="contacts",
        key=key,
        fields=tuple(
            MaskedField(name=name, before=before, after=after, cause="source_change")
            for name, (before, after) in values.items()
        ),
    )
