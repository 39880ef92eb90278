"""The first stage: one partition of one entity is compared, and what comes of it is put on the bus.

Any replica does any partition, in any order, more than once. Changes of records that both sides hold lie on pages
then; what found no partner lies beside them as residue, for the second stage (`services.differ.drafting`).
"""

from __future__ import annotations

import asyncio

from services.differ.comparing import EXISTING
from services.differ.context import Context, declarations_of, entity_of, scope_of
from services.differ.diff import changes_of_pairs, compare, residue_of
from services.differ.pages import cut, cut_index, publish, references_of
from services.differ.residue import Residue, publish_residue
from services.differ.snapshots import partition_of, quarantined_keys, sides_of
from services.differ.tally import tally_of
from services.differ.telling import Work, partition_told
from shared.clock import from_text
from shared.contract.loading import Connector
from shared.events.facts import PartitionDiffed
from shared.run.state import RunState
from shared.telemetry.memory import memory_peak_mb


async def compare_partition(
    state: RunState, number: int, name: str, connector: Connector, context: Context, *, attempt: str
) -> PartitionDiffed:
    """Compare one partition of one entity; returns the fact, which is for the caller to commit."""
    started = context.clock.monotonic_seconds()
    sides = await sides_of(context.js, run=state.run, entity=name)
    declarations, desired, existing, quarantined = await asyncio.gather(
        declarations_of(state, name, context, at=from_text(sides.source.started_at)),
        partition_of(context.js, sides.source, str(number)),
        partition_of(context.js, sides.target, str(number)),
        quarantined_keys(context.js, sides),
    )
    entity = entity_of(state, name, connector, context, declarations=declarations)
    compared = await asyncio.to_thread(
        compare,
        entity,
        desired=desired,
        existing=existing,
        quarantined_keys=quarantined,
        hashes_agree=sides.hashes_agree,
    )
    # Only what differs is looked up: a record that is as it should be needs no memory.
    scope = scope_of(state, name)
    drafted = await asyncio.to_thread(
        changes_of_pairs,
        entity,
        compared.pairs,
        recall=await context.ledger.recall(scope, compared.pairs.get_column("key")),
        linked=await context.ledger.linked(scope, compared.pairs.get_column(EXISTING + "target_id")),
    )
    pages = await asyncio.to_thread(cut, drafted.changes, drafted.aside, run=state.run, entity=name, partition=number)
    index = await asyncio.to_thread(cut_index, drafted.changes, run=state.run, entity=name, partition=number)
    unmatched, absent = residue_of(compared, drafted.doubtful)
    now = context.clock.now()
    _, residue = await asyncio.gather(
        publish(context.js, [*pages, *index], at=now),
        publish_residue(
            context.js,
            Residue(unmatched=unmatched, absent=absent, tally=tally_of(drafted, compared)),
            run=state.run,
            entity=name,
            attempt=attempt,
            partition=number,
            at=now,
        ),
    )
    work = Work(
        run=state.run,
        entity=name,
        partition=number,
        pages=references_of(pages),
        index=references_of(index),
        seconds=context.clock.monotonic_seconds() - started,
        memory_peak_mb=memory_peak_mb(),
    )
    return partition_told(work, compared, drafted, attempt=attempt, residue=residue)
