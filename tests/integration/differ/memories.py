"""What runs leave behind, in which a test says only what matters to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.differ.memory import Applied, Deferral, Drafted, EntitySeen, Scope, Written
from tests.unit.plan.plan_builder import ENTITY, NOW, figures

SCOPE = Scope(connector="staff", target="titanhst", entity=ENTITY)
OTHER = Scope(connector="staff", target="another", entity=ENTITY)
DAY = timedelta(days=1)


def run_id(number: int) -> str:
    """The run of that day, in the order of time."""
    return f"2026{number:04d}T080000-000000"


def written(key: str, target_id: str | None = "", **commitments: str) -> Written:
    """A record as it was written; its target id follows from its key unless one is given."""
    return Written(
        entity=ENTITY, key=key, target_id=f"c-{key}" if target_id == "" else target_id, commitments=commitments
    )


def applied(
    number: int,
    records: Sequence[Written] = (),
    *,
    deferred: Sequence[Deferral] = (),
    by_class: Mapping[str, int] | None = None,
    at: datetime | None = None,
    scope: Scope = SCOPE,
) -> Applied:
    return Applied(
        run=run_id(number),
        connector=scope.connector,
        target=scope.target,
        release="sha256:release",
        status="succeeded",
        at=at or NOW + number * DAY,
        written=records,
        deferred=deferred,
        by_class={scope.entity: dict(by_class or {})},
    )


def drafted(
    number: int,
    *,
    missed: Iterable[str] = (),
    suspended: Iterable[str] = (),
    unknown: Iterable[str] = (),
    at: datetime | None = None,
    certified: bool = True,
    accepted: bool = True,
    scope: Scope = SCOPE,
    changes: Mapping[str, int] | None = None,
    **overrides: Any,
) -> Drafted:
    """The drafting of the run of that day."""
    moment = at or NOW + number * DAY
    seen = EntitySeen(
        figures=figures(changes=changes, **overrides).model_copy(update={"entity": scope.entity}),
        read_at=moment,
        is_certified=certified,
        strike_hours=24,
        missed=frozenset(missed),
        suspended=frozenset(suspended),
        unknown=frozenset(unknown),
    )
    return Drafted(
        run=run_id(number),
        connector=scope.connector,
        target=scope.target,
        mode="apply",
        at=moment,
        level="PASS" if accepted else "HOLD",
        status="awaiting_approval",
        is_accepted=accepted,
        entities=[seen],
    )
