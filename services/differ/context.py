"""What the differ's handlers work with, and what both stages need to know of an entity.

Holds no state of its own and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nats.js import JetStreamContext

from services.differ.comparing import DeclarationOf, Entity
from services.differ.ledger import Ledger
from services.differ.memory import Scope
from services.differ.planning import waves_of
from shared.bus.commit import Committer
from shared.bus.reading import last
from shared.clock import Clock
from shared.contract.catalog import Connectors
from shared.contract.loading import Connector
from shared.contract.ordering import clause_digests
from shared.events.envelope import decode
from shared.events.stored import Stored
from shared.ids import Ids
from shared.plan.change import ChangeClass
from shared.policy.approval import Identities
from shared.policy.declared import Declaration, declaration_of
from shared.ports.connections import Connections
from shared.ports.registry import Registry
from shared.ports.wire import Record
from shared.run.declared import DeclaredDeltas, declared_subject
from shared.run.state import RunState

ATTEMPT_SIGNS = 8
"""Length of the token that tells the residue of one attempt from leftovers of another."""


@dataclass(frozen=True)
class Context:
    """What the differ's handlers work with."""

    js: JetStreamContext
    committer: Committer
    connectors: Connectors
    connections: Connections
    registry: Registry
    identities: Identities
    ledger: Ledger
    commitment_master: bytes
    clock: Clock
    ids: Ids


def connector_of(state: RunState, context: Context) -> Connector:
    """The release that the run was admitted for; `NeedsPerson` when neither the folder nor a release has it now."""
    return context.connectors.release(state.connector, state.release_digest)


def scope_of(state: RunState, entity: str) -> Scope:
    """Whose memory the run reads and writes."""
    return Scope(connector=state.connector, target=state.target, entity=entity)


def declared_in(stored: Stored | None) -> DeclaredDeltas | None:
    """The declared deltas of a connector in a stored message."""
    if stored is None:
        return None
    return decode(DeclaredDeltas, data=stored.data, headers=stored.headers, subject=stored.subject)


async def declarations_of(state: RunState, entity: str, context: Context, *, at: datetime) -> tuple[Declaration, ...]:
    """The declared deltas of one entity that count for a run whose source was read at `at`, in id order.

    The same for both stages and for a delivery that comes again: what is declared or withdrawn later does not count.
    """
    document = declared_in(await last(context.js, "CORE", declared_subject(state.connector)))
    found = () if document is None else document.for_read_at(at)
    return tuple(one for one in found if one.entity == entity)


def entity_of(
    state: RunState, name: str, connector: Connector, context: Context, *, declarations: Sequence[Declaration]
) -> Entity:
    """What a comparison needs to know of one entity."""
    return Entity(
        target=state.target,
        name=name,
        contract=connector.definition.entities[name],
        waves=waves_of(connector.definition)[name],
        wire=context.registry.wire(connector.definition.target.system),
        commitment_master=context.commitment_master,
        protected=connector.protection(name),
        clause_digests=clause_digests(connector, name),
        declaration_of=_matcher(name, declarations),
        write_companions=context.registry.write_companions_of(connector.definition.target.system, name),
    )


def _matcher(entity: str, declarations: Sequence[Declaration]) -> DeclarationOf | None:
    if not declarations:
        return None

    def matched(*, change_class: ChangeClass, before: Record | None, after: Record) -> str | None:
        found = declaration_of(declarations, entity=entity, change_class=change_class, before=before, after=after)
        return None if found is None else found.id

    return matched
