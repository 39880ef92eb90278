"""The second stage: the residue of all partitions is settled, and everything becomes one plan.

One replica does it for a run. What it reads (snapshots, ledger) does not change until the plan lies on the bus, and
only then is it written into the ledger what the reads missed; so a drafting that was killed and done again comes to
the same pages, and is remembered once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from services.differ.comparing import Elsewhere, Settled
from services.differ.context import Context, declarations_of, entity_of, scope_of
from services.differ.memory import Drafted, EntityHistory, EntitySeen
from services.differ.pages import cut, cut_index, publish, read_index, read_pages, references_of
from services.differ.planning import Draft, EntityDraft, plan_of, status_after
from services.differ.residue import Residue, read_residue
from services.differ.settling import doubts, settle
from services.differ.snapshots import Sides, outside_keys, partition_of, quarantined_keys, sides_of
from services.differ.tally import tally_of
from services.differ.telling import Work, settling_told
from shared.bus.publishing import Conflict, publish_one
from shared.bus.reading import last, read_all
from shared.clock import from_text
from shared.contract.loading import Connector
from shared.errors import StopRun
from shared.events.envelope import decode
from shared.events.facts import PartitionDiffed
from shared.plan.document import Plan, header_subject
from shared.policy.guard import Level
from shared.records.subjects import UNKEYED
from shared.run.moves import Message
from shared.run.state import RunState
from shared.telemetry.memory import memory_peak_mb


@dataclass(frozen=True)
class _SettledEntity:
    """One entity after both stages."""

    sides: Sides
    parts: Sequence[PartitionDiffed]
    residue: Residue
    settled: Settled
    quarantined: frozenset[str]
    history: EntityHistory


async def drafted_plan(state: RunState, connector: Connector, context: Context) -> Plan:
    """The run's plan, as it lies on the bus when this returns; what it taught is remembered.

    A replay teaches nothing: its rows were counted with the run that read them.
    """
    plan = await stored_plan(state.run, context)
    is_replay = state.replay_of is not None
    # Where a delivery was killed between these two steps, the plan is there and the ledger does not know it yet.
    if plan is not None and (is_replay or await context.ledger.knows_draft(state.run)):
        return plan
    entities = await _settled(state, connector, context)
    if plan is None:
        plan = await _drafted(state, connector, entities, context)
    if not is_replay:
        await _remember(state, plan, connector, entities, context)
    return plan


async def stored_plan(run: str, context: Context) -> Plan | None:
    """The plan that lies on the bus; a second one would differ in its times."""
    stored = await last(context.js, "PLAN", header_subject(run))
    return None if stored is None else decode(Plan, data=stored.data, headers=stored.headers, subject=stored.subject)


def partition_diffed_subject(run: str, entity: str, partition: int | str) -> str:
    """Where the fact that a partition was compared lies."""
    return f"evt.differ.partition_diffed.{run}.{entity}.{partition}"


# --- settle the residue ---------------------------------------------------------------------------------------------


async def _settled(state: RunState, connector: Connector, context: Context) -> dict[str, _SettledEntity]:
    facts: list[PartitionDiffed] = []
    async for stored in read_all(context.js, "CORE", partition_diffed_subject(state.run, "*", "*")):
        facts.append(decode(PartitionDiffed, data=stored.data, headers=stored.headers, subject=stored.subject))
    wanted = state.partitions * len(connector.definition.entities)
    if len(facts) != wanted:
        raise StopRun(
            "DIF_SNAPSHOT_GONE", f"run {state.run}: {len(facts)} partitions compared, {wanted} wanted", run=state.run
        )
    return {
        name: await _settle_entity(state, name, connector, [fact for fact in facts if fact.entity == name], context)
        for name in connector.definition.entities
    }


async def _settle_entity(
    state: RunState, name: str, connector: Connector, facts: Sequence[PartitionDiffed], context: Context
) -> _SettledEntity:
    started = context.clock.monotonic_seconds()
    sides = await sides_of(context.js, run=state.run, entity=name)
    read_at = from_text(sides.source.started_at)
    declarations = await declarations_of(state, name, context, at=read_at)
    residue = await read_residue(context.js, facts)
    unkeyed = await partition_of(context.js, sides.target, UNKEYED)
    quarantined = await quarantined_keys(context.js, sides)
    scope = scope_of(state, name)
    history = await context.ledger.history(scope, run=state.run, now=context.clock.now())
    keys = [*residue.unmatched.get_column("key"), *residue.absent.get_column("key")]
    recall = await context.ledger.recall(scope, keys)
    target_ids = [*residue.absent.get_column("target_id"), *unkeyed.get_column("target_id")]
    target_ids += [memory.target_id for memory in recall.values() if memory.target_id is not None]
    linked = await context.ledger.linked(scope, target_ids)
    asked = await asyncio.to_thread(
        doubts,
        unmatched=residue.unmatched,
        absent=residue.absent,
        unkeyed=unkeyed,
        recall=recall,
        linked=linked,
    )
    settled = await asyncio.to_thread(
        settle,
        entity_of(state, name, connector, context, declarations=declarations),
        unmatched=residue.unmatched,
        absent=residue.absent,
        unkeyed=unkeyed,
        outside_keys=await outside_keys(context.js, sides.source),
        quarantined_keys=quarantined,
        recall=recall,
        linked=linked,
        elsewhere=await _found(asked, sides, state.partitions, context),
        may_remove=sides.may_remove,
        certified_runs=history.certified_runs,
        # Not the time of drafting: the same snapshots and the same memory give the same plan, whenever it is drafted.
        now=read_at,
    )
    part = await _publish_settled(state, name, settled, context, started=started)
    return _SettledEntity(
        sides=sides,
        parts=[*facts, part],
        residue=residue,
        settled=settled,
        quarantined=quarantined,
        history=history,
    )


async def _found(asked: Elsewhere, sides: Sides, partitions: int, context: Context) -> Elsewhere:
    """Which of these target ids exist in the target's snapshot, and which of these keys are desired."""
    # Records in quarantine exist as well, and their ids are told nowhere: any of those asked for may be among them.
    target_ids: set[str] = set(asked.target_ids) if sides.target.quarantined else set()
    keys: set[str] = set()
    for number in range(partitions if asked.target_ids else 0):
        frame = await partition_of(context.js, sides.target, str(number))
        target_ids |= asked.target_ids.intersection(frame.get_column("target_id"))
    for number in range(partitions if asked.keys else 0):
        frame = await partition_of(context.js, sides.source, str(number))
        keys |= asked.keys.intersection(frame.get_column("key"))
    return Elsewhere(target_ids=frozenset(target_ids), keys=frozenset(keys))


async def _publish_settled(
    state: RunState, name: str, settled: Settled, context: Context, *, started: float
) -> PartitionDiffed:
    """Put the changes of the second stage on the bus; they stand behind the last partition of the first."""
    number = state.partitions
    pages = await asyncio.to_thread(cut, settled.changes, settled.aside, run=state.run, entity=name, partition=number)
    index = await asyncio.to_thread(cut_index, settled.changes, run=state.run, entity=name, partition=number)
    await publish(context.js, [*pages, *index], at=context.clock.now())
    work = Work(
        run=state.run,
        entity=name,
        partition=number,
        pages=references_of(pages),
        index=references_of(index),
        seconds=context.clock.monotonic_seconds() - started,
        memory_peak_mb=memory_peak_mb(),
    )
    return settling_told(work, settled)


# --- draft ----------------------------------------------------------------------------------------------------------


async def _drafted(
    state: RunState, connector: Connector, entities: dict[str, _SettledEntity], context: Context
) -> Plan:
    draft = Draft(
        state=state,
        connector=connector,
        environment=context.connections.named(connector.definition.target.connection).environment,
        entities=[await _entity_draft(state, name, one, context) for name, one in entities.items()],
        rows_accepted=await context.ledger.rows_accepted(state.connector),
        now=context.clock.now(),
    )
    plan = await asyncio.to_thread(plan_of, draft)
    message = Message(subject=header_subject(state.run), event=plan, message_id=f"{state.run}.plan", about=state.run)
    with suppress(Conflict):
        await publish_one(context.js, context.committer.outgoing(message, expected_last_seq=0))
    # Of two replicas that draft at once, one has stored its plan; the other's differs in its times and is no plan.
    stored = await stored_plan(state.run, context)
    if stored is None:
        raise StopRun("DIF_SNAPSHOT_GONE", f"run {state.run}: the plan just stored is not there", run=state.run)
    return stored


async def _entity_draft(state: RunState, name: str, entity: _SettledEntity, context: Context) -> EntityDraft:
    index = [reference for part in entity.parts for reference in part.index]
    # Asides have pages of their own, so that the changes need not be read again.
    asides = [page for part in entity.parts for page in part.pages if page.changes == 0]
    read_at = from_text(entity.sides.source.started_at)
    return EntityDraft(
        entity=name,
        source=entity.sides.source,
        target=entity.sides.target,
        parts=entity.parts,
        index=await read_index(context.js, index, run=state.run),
        tally=entity.residue.tally + tally_of(entity.settled),
        asides=[aside for page in await read_pages(context.js, asides, run=state.run) for aside in page.aside],
        history=entity.history,
        declarations=await declarations_of(state, name, context, at=read_at),
    )


async def _remember(
    state: RunState, plan: Plan, connector: Connector, entities: dict[str, _SettledEntity], context: Context
) -> None:
    header = plan.header
    status, _ = status_after(plan, state.mode)
    seen = []
    for figures in header.figures.entities:
        entity = entities[figures.entity]
        removal = connector.definition.entities[figures.entity].removal
        wanted = set(entity.residue.unmatched.get_column("key"))
        # Whose removal nobody wants misses nothing, and would only fill the ledger.
        missed = frozenset() if removal.ladder == "preserve" else frozenset(entity.settled.missed)
        seen.append(
            EntitySeen(
                figures=figures,
                read_at=from_text(entity.sides.source.started_at),
                is_certified=entity.sides.is_certified,
                strike_hours=removal.strike_hours,
                missed=missed,
                suspended=frozenset(entity.settled.suspended_seen),
                # In quarantine, desired under another key perhaps, or not desired as far as an uncertified read tells.
                unknown=entity.quarantined | (set(entity.residue.absent.get_column("key")) - wanted - missed),
            )
        )
    await context.ledger.remember_draft(
        Drafted(
            run=state.run,
            connector=state.connector,
            target=state.target,
            mode=state.mode,
            at=from_text(header.created_at),
            level=header.verdict.level.value,
            status=status.value,
            is_accepted=header.verdict.level in {Level.PASS, Level.WARN},
            entities=seen,
        )
    )
