"""Synthetic drafts of plans, in which a test says only what matters to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from services.differ.comparing import Compared, Drafted, Settled
from services.differ.memory import EntityHistory
from services.differ.pages import cut, cut_index, references_of
from services.differ.planning import (
    Draft,
    EntityDraft,
)
from services.differ.tally import Tally
from services.differ.telling import Work, partition_told, settling_told
from shared.clock import to_text
from shared.contract.loading import Connector
from shared.contract.model import ConnectorDefinition
from shared.events.documents import FailureNote
from shared.events.facts import PartitionDiffed, SnapshotRead
from shared.plan.change import DESTRUCTIVE, Aside, Change, ChangeClass
from shared.plan.document import (
    PlanIndexPart,
)
from shared.policy.declared import Declaration
from shared.policy.figures import SourceFigures
from shared.run.state import Side
from shared.run.states import RunStatus
from tests.unit.differ.frames import contract
from tests.unit.plan.plan_builder import (
    ENTITY,
    NOW,
    RUN,
    TARGET,
    certificate,
    change,
    run_state,
)


def connector(**overrides: Any) -> Connector:
    definition = ConnectorDefinition.model_validate(
        {
            "schema_version": 1,
            "name": "tiny",
            "version": "1.0.0",
            "title": "People to a small target",
            "lifecycle": "active",
            "target": {"system": "small_system", "connection": TARGET},
            "sources": {"person": {"system": "people_system", "connection": "hr", "entity": "people"}},
            "entities": {ENTITY: contract()},
            **overrides,
        }
    )
    return Connector(definition, {}, "sha256:release")


LIVED_IN = EntityHistory(certified_runs=2, is_onboarding=False)
"""The past of a connector that has run for a while."""


def read(
    side: Side,
    *,
    minutes: int = 5,
    certified: bool = True,
    rows: int | None = 1000,
    quarantined_by_code: Mapping[str, int] | None = None,
    run: str = RUN,
    later: timedelta = timedelta(0),
) -> SnapshotRead:
    """The fact that a side was read."""
    by_code = dict(quarantined_by_code or {})
    return SnapshotRead(
        run=run,
        side=side,
        entity=ENTITY,
        attempt="a1",
        certificates=(certificate(side=side, at=NOW + later),) if certified else (),
        sources=(SourceFigures(source="person" if side == "source" else "target", rows=rows, is_certified=certified),),
        incomplete=None if certified else FailureNote(code="SRC_INCOMPLETE", text="rows are missing"),
        target_serial=7,
        records=1000,
        quarantined=sum(by_code.values()),
        quarantined_by_code=by_code,
        unmapped=(),
        out_of_scope=0,
        partitions=(),
        started_at=to_text(NOW + later - timedelta(minutes=minutes)),
        seconds=1,
        memory_peak_mb=1,
    )


def comparison(*, desired: int = 500, live: int = 500, contested: Sequence[str] = ("K",)) -> Compared:
    """The counts of one compared partition."""
    none = pl.DataFrame()
    return Compared(
        pairs=none,
        unmatched=none,
        absent=none,
        desired=desired,
        live_managed=live,
        quarantined_kept=0,
        cohorts={},
        groups={},
        contested=list(contested),
    )


def brought(
    drafted: Drafted, number: int, *, compared: Compared | None = None, run: str = RUN
) -> tuple[PartitionDiffed, list[PlanIndexPart]]:
    """What one partition tells, or without a comparison the settling, and its part of the index."""
    pages = cut(drafted.changes, drafted.aside, run=run, entity=ENTITY, partition=number)
    index = cut_index(drafted.changes, run=run, entity=ENTITY, partition=number)
    work = Work(
        run=run,
        entity=ENTITY,
        partition=number,
        pages=references_of(pages),
        index=references_of(index),
        seconds=1,
        memory_peak_mb=1,
    )
    if compared is not None:
        told = partition_told(work, compared, drafted, attempt="a1", residue=())
    else:
        assert isinstance(drafted, Settled)
        told = settling_told(work, drafted)
    return told, [part.page for part in index]


def draft(
    changes: Sequence[Change],
    *,
    aside: Sequence[Aside] = (),
    partitions: int = 2,
    certified: bool = True,
    target_certified: bool = True,
    rows: int | None = 1000,
    accepted: Mapping[tuple[str, str], int] | None = None,
    quarantined_by_code: dict[str, int] | None = None,
    run: str = RUN,
    definition: Connector | None = None,
    later: timedelta = timedelta(0),
    live: int = 1000,
    history: EntityHistory = LIVED_IN,
    tally: Tally | None = None,
    declarations: Sequence[Declaration] = (),
) -> Draft:
    """A draft whose partitions hold the changes of existing records in turn; all others were settled."""
    pairs = [one for one in changes if one.target_id is not None and one.change_class not in DESTRUCTIVE]
    settled = Settled(changes=[one for one in changes if one not in pairs], aside=list(aside))
    settled.removals_suppressed = 4
    told = [
        brought(
            Drafted(changes=pairs[number::partitions]),
            number,
            compared=comparison(
                desired=1000 // partitions, live=live // partitions, contested=["K", "L"] if number == 0 else []
            ),
            run=run,
        )
        for number in range(partitions)
    ]
    told.append(brought(settled, partitions, run=run))
    return Draft(
        state=run_state(RunStatus.GUARDING, run=run),
        connector=definition or connector(),
        environment="staging",
        entities=[
            EntityDraft(
                entity=ENTITY,
                source=read(
                    "source",
                    minutes=6,
                    certified=certified,
                    rows=rows,
                    quarantined_by_code=quarantined_by_code,
                    run=run,
                    later=later,
                ),
                target=read("target", certified=target_certified, run=run, later=later),
                parts=[fact for fact, _ in told],
                index=[part for _, parts in told for part in parts],
                tally=tally or Counter(),
                asides=aside,
                history=history,
                declarations=declarations,
            )
        ],
        rows_accepted=accepted or {},
        now=NOW + later,
    )


CHANGES = [change(1), change(2, ChangeClass.CREATE), change(3, ChangeClass.SUSPEND)]
