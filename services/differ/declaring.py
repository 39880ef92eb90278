"""Whether a change may be declared in advance, or a declaration be taken back: decisions over documents.

Pure. A declaration lifts no limit by itself; what it matches is taken out of the numbers that the guard judges. So it
is narrow: a class of change, conditions on fields that name no person, a number, and at most a quarter of a year.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NoReturn

from pydantic import ValidationError

from shared.clock import from_text, to_text
from shared.contract.model import ConnectorDefinition
from shared.errors import NeedsPerson
from shared.events.commands import DeclareDelta, WithdrawDelta
from shared.events.envelope import what_is_wrong
from shared.events.facts import DeltaDeclared, DeltaWithdrawn
from shared.policy.declared import Declaration
from shared.run.declared import DECLARATIONS_MAX, KEPT_MAX, DeclaredDeltas, connector_of_declaration, declared_subject
from shared.run.moves import Decision, Message

WINDOW_DAYS_MAX = 90
"""Days from the first to the last moment of a declaration."""
AHEAD_DAYS_MAX = 365
"""Days from today to its last moment."""
KEPT_DAYS = 7
"""How long one that has ended stays in the document: longer than any run that began before its end."""


def declare(
    command: DeclareDelta,
    *,
    definition: ConnectorDefinition,
    present: DeclaredDeltas | None,
    actor: str | None,
    declaration: str,
    now: datetime,
) -> Decision:
    """The messages that make a declaration; `NeedsPerson` with the reason when it is refused."""
    made = _declaration(command, definition=definition, actor=actor, declaration=declaration, now=now)
    document = present or DeclaredDeltas(connector=definition.name)
    standing = document.standing(now)
    for one in standing:
        if _is_about_the_same(one, made):
            _refuse(
                f"{one.id} declares the same already, {one.valid_from} to {one.valid_until}; withdraw it first, or "
                "declare another time",
                definition.name,
            )
    if len(standing) >= DECLARATIONS_MAX:
        _refuse(f"{len(standing)} declarations stand, allowed {DECLARATIONS_MAX}; withdraw one", definition.name)
    kept = _kept(document, now=now)
    if len(kept.declarations) >= KEPT_MAX:
        _refuse(
            f"{len(kept.declarations)} declarations were made in the last {KEPT_DAYS} days, allowed {KEPT_MAX}",
            definition.name,
        )
    changed = kept.model_copy(update={"declarations": (*kept.declarations, made)})
    fact = Message(
        subject=f"evt.differ.delta_declared.{made.connector}",
        event=DeltaDeclared(declaration=made),
        message_id=f"{made.id}.declared",
        about=made.connector,
    )
    return Decision((_document_message(changed, f"{made.id}.document"), fact))


def withdraw(command: WithdrawDelta, *, present: DeclaredDeltas | None, actor: str | None, now: datetime) -> Decision:
    """The messages that take a declaration back; `NeedsPerson` when there is none that still counts."""
    person = _known(actor)
    connector = connector_of_declaration(command.declaration)
    standing = () if present is None else present.standing(now)
    if present is None or command.declaration not in {one.id for one in standing}:
        known = ", ".join(one.id for one in standing) or "none"
        _refuse(f"no declaration {command.declaration[:80]!r} stands; there are: {known}", connector)
    kept = _kept(present, now=now)
    changed = kept.model_copy(update={"withdrawn": {**kept.withdrawn, command.declaration: to_text(now)}})
    fact = Message(
        subject=f"evt.differ.delta_withdrawn.{connector}",
        event=DeltaWithdrawn(declaration=command.declaration, connector=connector, actor=person, reason=command.reason),
        message_id=f"{command.declaration}.withdrawn",
        about=connector,
    )
    return Decision((_document_message(changed, f"{command.declaration}.withdrawn.document"), fact))


def _declaration(
    command: DeclareDelta, *, definition: ConnectorDefinition, actor: str | None, declaration: str, now: datetime
) -> Declaration:
    entity = _entity(command, definition)
    _check_conditions(command, definition, entity)
    try:
        made = Declaration(
            id=declaration,
            connector=definition.name,
            entity=entity,
            change_class=command.change_class,
            where=command.where,
            expected=command.expected,
            tolerance_percent=command.tolerance_percent,
            valid_from=to_text(from_text(command.valid_from)),
            valid_until=to_text(from_text(command.valid_until)),
            reason=command.reason,
            declared_by=_known(actor),
            at=to_text(now),
        )
    except ValidationError as error:
        _refuse(what_is_wrong(error), definition.name)
    except ValueError as error:
        _refuse(f"valid_from or valid_until: {error}", definition.name)
    first, last = from_text(made.valid_from), from_text(made.valid_until)
    if last <= now:
        _refuse(f"valid_until {made.valid_until} has passed; it is {to_text(now)}", definition.name)
    if last - first > timedelta(days=WINDOW_DAYS_MAX):
        days = (last - first) / timedelta(days=1)
        _refuse(f"it would count for {days:g} days, allowed {WINDOW_DAYS_MAX}", definition.name)
    if last - now > timedelta(days=AHEAD_DAYS_MAX):
        _refuse(f"valid_until {made.valid_until} is more than {AHEAD_DAYS_MAX} days away", definition.name)
    return made


def _entity(command: DeclareDelta, definition: ConnectorDefinition) -> str:
    known = list(definition.entities)
    entity = command.entity if command.entity is not None or len(known) > 1 else known[0]
    if entity is None or entity not in known:
        what = "name the entity" if entity is None else f"there is no entity {entity[:80]!r}"
        _refuse(f"{what}; the entities are {', '.join(known)}", definition.name)
    return entity


def _check_conditions(command: DeclareDelta, definition: ConnectorDefinition, entity: str) -> None:
    fields = definition.entities[entity].fields
    usable = sorted(name for name, one in fields.items() if one.pii == "none")
    for name in command.where:
        if name not in fields:
            _refuse(f"{entity} has no field {name[:80]!r}; there are: {', '.join(usable)}", definition.name)
        if name not in usable:
            _refuse(
                f"field {name} of {entity} is personal, and a declaration names no person; use one of "
                f"{', '.join(usable)}",
                definition.name,
            )


def _is_about_the_same(one: Declaration, other: Declaration) -> bool:
    """Whether both count the same changes at some time; of two such the second would cover what is over."""
    conditions = [{name: sorted(values) for name, values in each.where.items()} for each in (one, other)]
    is_same = (one.entity, one.change_class) == (other.entity, other.change_class) and conditions[0] == conditions[1]
    first, last = max(one.valid_from, other.valid_from), min(one.valid_until, other.valid_until)
    return is_same and from_text(first) < from_text(last)


def _kept(document: DeclaredDeltas, *, now: datetime) -> DeclaredDeltas:
    """The document without what no run can ask for any more."""
    since = now - timedelta(days=KEPT_DAYS)
    kept = tuple(
        one
        for one in document.declarations
        if from_text(one.valid_until) > since and not document.is_withdrawn(one.id, at=since)
    )
    ids = {one.id for one in kept}
    withdrawn = {name: at for name, at in document.withdrawn.items() if name in ids}
    return document.model_copy(update={"declarations": kept, "withdrawn": withdrawn})


def _document_message(document: DeclaredDeltas, message_id: str) -> Message:
    return Message(
        subject=declared_subject(document.connector),
        event=document,
        message_id=message_id,
        about=document.connector,
    )


def _known(actor: str | None) -> str:
    if actor is None:
        raise NeedsPerson("APV_UNATTRIBUTED", "the bus says of nobody that they sent this; connect as a person")
    return actor


def _refuse(text: str, connector: str) -> NoReturn:
    raise NeedsPerson("APV_MALFORMED", f"connector {connector[:80]}: {text}", connector=connector[:80])
