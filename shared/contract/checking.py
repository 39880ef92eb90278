"""Whether the names in a definition mean something: aliases, columns, tables, transforms, entities, and each other.

Pure. The shape of the definition has been accepted already; every problem found is told with its place. What one entity
says as a whole is checked here, what its fields say in `shared.contract.field_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contract.column_uses import column_uses
from shared.contract.columnar import pattern_problem
from shared.contract.entity_checks import entity_problems
from shared.contract.field_checks import field_problems
from shared.contract.known import Known, among
from shared.contract.ordering import cycle
from shared.contract.parts import parts, tables_named, transforms_named
from shared.contract.positions import Located
from shared.contract.problems import Problem
from shared.contract.protection_checks import protection_problems
from shared.contract.words import Condition, QualifiedCondition


def cross_check(known: Known, *, folder_name: str) -> list[Problem]:
    """Everything in the definition and its list of protected records that means nothing or cannot be meant."""
    definition = known.definition
    problems: list[Problem] = []
    if definition.name != folder_name:
        text = f"the connector is named {definition.name!r} and its folder {folder_name!r}"
        problems.append(known.problem(("name",), text, "give both the same name"))
    for entity, contract in definition.entities.items():
        path = ("entities", entity)
        problems += _columns(known, entity)
        problems += entity_problems(known, contract, path)
        problems += field_problems(known, contract, path)
    problems += _named(known, definition, known.located)
    problems += _named(known, known.protected, known.listed)
    problems += _ring(known)
    problems += protection_problems(known)
    problems += _sources(known)
    return problems


def _columns(known: Known, entity: str) -> Iterator[Problem]:
    definition = known.definition
    for use in column_uses(definition.entities[entity], ("entities", entity)):
        if use.alias not in definition.sources:
            yield known.problem(use.path, f"there is no source {use.alias!r}", among("sources", definition.sources))
            continue
        if use.known is not None and use.alias not in use.known:
            yield known.problem(use.path, f"source {use.alias!r} is not joined here", among("sources", use.known))
            continue
        source = definition.sources[use.alias]
        declared = known.declared(source.system, source.entity)
        if declared is not None and use.column is not None and use.column not in declared:
            text = f"{source.system} {source.entity} has no column {use.column!r}"
            yield known.problem(use.path, text, among("columns", declared))


def _named(known: Known, written: object, located: Located) -> Iterator[Problem]:
    """Tables, transforms and patterns, wherever a step or a condition names one."""
    for path, table in tables_named(written):
        if table not in known.tables:
            fix = among("tables", known.tables) + f" or write tables/{table}.csv"
            yield located.problem(path, f"there is no table {table!r}", fix)
    for path, transform in transforms_named(written):
        if transform not in known.transforms:
            text = f"there is no transform {transform!r}"
            yield located.problem(path, text, f"correct the name or write transforms/{transform}.py")
    for path, part in parts(written):
        if isinstance(part, Condition | QualifiedCondition) and part.matches is not None:
            fault = pattern_problem(part.matches)
            if fault is not None:
                text = f"the pattern cannot be used: {' '.join(fault.split())}"
                yield located.problem((*path, "matches"), text, "write it in RE2's language")


def _ring(known: Known) -> Iterator[Problem]:
    ring = cycle(known.definition)
    if not ring:
        return
    first, second = ring[:2]
    contract = known.definition.entities[first]
    path = next(
        (
            ("entities", first, "fields", name, "lookup", "entity")
            for name, field in contract.fields.items()
            if field.lookup is not None and field.lookup.entity == second
        ),
        ("entities", first, "after", contract.after.index(second)) if second in contract.after else ("entities", first),
    )
    text = f"entities wait for each other: {' → '.join(ring)}"
    yield known.problem(path, text, "take one `after` or lookup of these away")


def _sources(known: Known) -> Iterator[Problem]:
    entities = known.definition.entities
    used = {use.alias for contract in entities.values() for use in column_uses(contract, ())}
    for alias, source in known.definition.sources.items():
        path = ("sources", alias)
        if known.columns is not None and known.declared(source.system, source.entity) is None:
            text = f"system {source.system} has no entity {source.entity!r}"
            yield known.problem((*path, "entity"), text, among("entities", known.entities_of(source.system)))
        if alias not in used:
            yield known.problem(path, f"source {alias!r} is used nowhere", "remove it", at_key=True)
