"""Whether what one entity says as a whole can be meant: key, correlation, cohort, membership, order, suspension.

Pure. Each check names the field or entity concerned and what would be right.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contract.field import FieldContract
from shared.contract.field_checks import form_fault
from shared.contract.known import Known, among
from shared.contract.model import EntityContract
from shared.contract.positions import Path
from shared.contract.problems import Problem

RESERVED = frozenset({"key", "target_id"})
"""Columns that every snapshot has besides the contract's fields."""


def entity_problems(known: Known, contract: EntityContract, path: Path) -> Iterator[Problem]:
    """Everything that is wrong with the entity apart from its columns and the clauses of its fields."""
    yield from _joins(known, contract, path)
    yield from _key(known, contract, path)
    yield from _correlation(known, contract, path)
    yield from _cohort(known, contract, path)
    yield from _membership(known, contract, path)
    yield from _after(known, contract, path)
    yield from _suspended(known, contract, path)
    yield from _target(known, contract, path)


def _joins(known: Known, contract: EntityContract, path: Path) -> Iterator[Problem]:
    seen = {contract.origin.source}
    for number, join in enumerate(contract.joins):
        if join.source in seen:
            text = f"source {join.source!r} is joined a second time"
            yield known.problem((*path, "joins", number, "source"), text, "give it a second alias")
        seen.add(join.source)


def _key(known: Known, contract: EntityContract, path: Path) -> Iterator[Problem]:
    if contract.key not in contract.fields:
        text = f"the key {contract.key!r} is no field"
        yield known.problem((*path, "key"), text, among("fields", contract.fields))
        return
    place, key = (*path, "fields", contract.key), contract.fields[contract.key]
    if key.constant is not None or key.format == "boolean":
        text = "the key is the same for many records"
        yield known.problem(place, text, "take it from a column, as text", at_key=True)
    if not isinstance(key.unmapped, str):
        text = "the key becomes the same for every id outside the table"
        yield known.problem((*place, "unmapped"), text, "let such records be quarantined")
    for clause, is_set in (("managed", not key.managed), ("protected", key.protected), ("clear", key.clear)):
        if is_set:
            text = f"the key identifies the record, so `{clause}` cannot be said of it"
            yield known.problem((*place, clause), text, "remove it here", at_key=True)


def _correlation(known: Known, contract: EntityContract, path: Path) -> Iterator[Problem]:
    for place, name in enumerate(contract.correlate):
        at = (*path, "correlate", place)
        field = contract.fields.get(name)
        if field is None:
            yield known.problem(at, f"{name!r} is no field", among("fields", contract.fields))
        elif name == contract.key:
            yield known.problem(at, "records are matched by their key anyway", "remove it here")
        elif field.constant is not None or field.format == "boolean":
            yield known.problem(at, f"{name} is the same for many records", "name a field that tells records apart")
    yield from _named_twice(known, contract.correlate, (*path, "correlate"))


def _cohort(known: Known, contract: EntityContract, path: Path) -> Iterator[Problem]:
    for place, name in enumerate(contract.cohort):
        at = (*path, "cohort", place)
        if name not in contract.fields:
            yield known.problem(at, f"{name!r} is no field", among("fields", contract.fields))
        elif name == contract.key:
            yield known.problem(at, "the key makes every record a cohort of its own", "name fields that many share")
    yield from _named_twice(known, contract.cohort, (*path, "cohort"))


def _membership(known: Known, contract: EntityContract, path: Path) -> Iterator[Problem]:
    if (membership := contract.membership) is None:
        return
    for clause, name in (("group", membership.group), ("member", membership.member)):
        if name not in contract.fields:
            text = f"{name!r} is no field"
            yield known.problem((*path, "membership", clause), text, among("fields", contract.fields))
    if membership.group == membership.member:
        text = f"{membership.member!r} is both the group and the member"
        yield known.problem((*path, "membership", "member"), text, "name two fields")


def _after(known: Known, contract: EntityContract, path: Path) -> Iterator[Problem]:
    for place, name in enumerate(contract.after):
        if name not in known.definition.entities:
            text = f"{name!r} is no entity of this connector"
            yield known.problem((*path, "after", place), text, among("entities", known.definition.entities))
    yield from _named_twice(known, contract.after, (*path, "after"))


def _suspended(known: Known, contract: EntityContract, path: Path) -> Iterator[Problem]:
    for name, value in contract.removal.suspended.items():
        at = (*path, "removal", "suspended", name)
        field = contract.fields.get(name)
        if field is None:
            yield known.problem(at, f"{name!r} is no field", among("fields", contract.fields), at_key=True)
        elif isinstance(value, bool) != (field.format == "boolean"):
            yield known.problem(at, f"{name} is {field.format}, the value is not", "write a value of that form")
        elif isinstance(value, str) and (fault := form_fault(value, field)) is not None:
            yield known.problem(at, f"the value of {name} {fault}", "write the finished value")
        else:
            yield from _cannot_suspend(known, name, field, value, contract, at)


def _cannot_suspend(
    known: Known, name: str, field: FieldContract, value: bool | str, contract: EntityContract, at: Path
) -> Iterator[Problem]:
    if name == contract.key:
        text = "a suspended record keeps its key"
        yield known.problem(at, text, "remove it here", at_key=True)
    if not field.managed or field.protected:
        text = f"{name} is never changed once the record exists, so it suspends nothing"
        yield known.problem(at, text, "name a managed field", at_key=True)
    if field.constant == value and isinstance(field.constant, bool) == isinstance(value, bool):
        text = f"{name} is {str(value).lower()} for every desired record, which would make all of them suspended"
        yield known.problem(at, text, "give another value")


def _target(known: Known, contract: EntityContract, path: Path) -> Iterator[Problem]:
    for reserved in sorted(RESERVED & contract.fields.keys()):
        text = f"{reserved!r} is a column of every snapshot"
        yield known.problem((*path, "fields", reserved), text, "give the field another name", at_key=True)
    if known.columns is None:
        return
    target, entity = known.definition.target.system, str(path[-1])
    declared = known.declared(target, entity)
    if declared is None:
        fix = among("entities", known.entities_of(target))
        yield known.problem(path, f"system {target} has no entity {entity!r}", fix, at_key=True)
        return
    for name in contract.fields:
        if name not in declared:
            text = f"{target} {entity} has no column {name!r}"
            yield known.problem((*path, "fields", name), text, among("columns", declared), at_key=True)
    for name in sorted({*known.companions.get((target, entity), ())} - contract.fields.keys()):
        text = f"{target} empties {entity} {name!r} whenever a change leaves it out"
        fix = "add it to the fields (`managed: false` keeps it as it is), so that every change can send it along"
        yield known.problem((*path, "fields"), text, fix, at_key=True)


def _named_twice(known: Known, names: tuple[str, ...], path: Path) -> Iterator[Problem]:
    for place, name in enumerate(names):
        if name in names[:place]:
            yield known.problem((*path, place), f"{name!r} is named a second time", "name it once")
