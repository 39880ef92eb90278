"""In which order entities are applied, and which clauses decide the value of a field.

Pure. `ranks` orders entities by `after` and by lookups, so that a group exists before its members; `clause_digests`
lets the differ tell a change of the contract from a change of the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.contract.column_uses import columns_of_field
from shared.contract.connector import Connector
from shared.contract.model import ConnectorDefinition, EntityContract
from shared.contract.parts import tables_named, transforms_named
from shared.hashing.canonical import digest_of

NOT_OF_THE_VALUE = {"pii", "is_role", "is_rename", "privileged", "required"}
"""Clauses that say what a value means to people and limits; another value never comes of them."""


def needs(definition: ConnectorDefinition) -> dict[str, tuple[str, ...]]:
    """The entities of the definition that each one's changes wait for.

    A lookup in the entity itself, such as a person's supervisor, orders nothing: it sees what stood there before. An
    entity that names itself under `after` stays among them: its records build on each other.
    """
    wanted = {}
    for name, contract in definition.entities.items():
        looked_up = [field.lookup.entity for field in contract.fields.values() if field.lookup is not None]
        named = dict.fromkeys((*contract.after, *(entity for entity in looked_up if entity != name)))
        wanted[name] = tuple(entity for entity in named if entity in definition.entities)
    return wanted


def cycle(definition: ConnectorDefinition) -> tuple[str, ...]:
    """Entities that wait for each other in a ring, the first one again at the end; empty when there is no ring."""
    wanted = needs(definition)
    settled: set[str] = set()
    for start in wanted:
        way: list[str] = []
        if found := _ring_from(start, wanted, way, settled):
            return found
    return ()


def _ring_from(
    entity: str, wanted: Mapping[str, tuple[str, ...]], way: list[str], settled: set[str]
) -> tuple[str, ...]:
    """Follows what the entity waits for; as deep as there are entities at most."""
    if entity in way:
        return (*way[way.index(entity) :], entity)
    if entity in settled:
        return ()
    way.append(entity)
    for other in wanted[entity]:
        if other == entity:
            continue  # orders its own records, which is no ring of entities
        if found := _ring_from(other, wanted, way, settled):
            return found
    way.pop()
    settled.add(entity)
    return ()


def ranks(definition: ConnectorDefinition) -> Mapping[str, int]:
    """The rank of each entity: 0 waits for none, any other stands one above the highest that it waits for."""
    if ring := cycle(definition):
        raise ValueError(f"entities wait for each other: {' → '.join(ring)}; take one `after` or lookup away")
    wanted = needs(definition)
    found: dict[str, int] = {}

    def rank(entity: str) -> int:
        if entity not in found:
            found[entity] = max((rank(other) + 1 for other in wanted[entity] if other != entity), default=0)
        return found[entity]

    return {entity: rank(entity) for entity in definition.entities}


def clause_digests(connector: Connector, entity: str) -> Mapping[str, str]:
    """By field, a digest over everything in the release that decides the field's value.

    That is its own clause, the sources, joins and picks through which its columns come, and the tables and transforms
    that any of these name. The scope is not part of it: it decides which records there are, not what they hold.
    """
    contract = connector.definition.entities[entity]
    return {name: digest_of(_deciding(connector, contract, name)) for name in contract.fields}


def _deciding(connector: Connector, contract: EntityContract, name: str) -> dict[str, Any]:
    field = contract.fields[name]
    aliases = {column.partition(".")[0] for column in columns_of_field(field)}
    joins = []
    for join in reversed(contract.joins):  # a join that is used uses the source on its left
        if join.source in aliases:
            aliases.add(join.on.left.column.partition(".")[0])
            joins.append(join)
    # Which row stands for a thing decides every value that is not constant.
    origin = [contract.origin] if aliases else []
    aliases |= {each.source for each in origin}
    used = (field, *joins, *origin)
    clauses = [part.model_dump(mode="json", by_alias=True, exclude_defaults=True) for part in (*joins, *origin)]
    own = field.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=NOT_OF_THE_VALUE)
    sources = connector.definition.sources
    return {
        "field": own,
        "rows": clauses,
        "sources": {alias: sources[alias].model_dump(mode="json") for alias in sorted(aliases)},
        "tables": {table: dict(connector.tables[table].entries) for part in used for _, table in tables_named(part)},
        "transforms": {
            transform: connector.transforms[transform].sha256
            for part in used
            for _, transform in transforms_named(part)
        },
    }
