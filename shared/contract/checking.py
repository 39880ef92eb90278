"""Whether the names in a definition mean something: aliases, columns, tables, fields, and each other.

Pure. The shape of the definition has been accepted already; every problem found is told with its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from shared.contract.columnar import formatted_text, stepped_texts
from shared.contract.model import ConnectorDefinition, EntityContract
from shared.contract.positions import Located, Path
from shared.contract.problems import Problem
from shared.contract.tables import MappingTable

EntityColumns = Mapping[tuple[str, str], Collection[str]]
"""The columns that systems declare, by (system, entity); a source or target that is not in it does not exist."""


def cross_check(
    definition: ConnectorDefinition,
    tables: Mapping[str, MappingTable | None],
    located: Located,
    *,
    folder_name: str,
    columns: EntityColumns | None,
) -> list[Problem]:
    """Every name that means nothing. A table that is None is there, but could not be read."""
    problems: list[Problem] = []
    if definition.name != folder_name:
        text = f"the connector is named {definition.name!r} and its folder {folder_name!r}"
        problems.append(located.problem(("name",), text, "give both the same name"))
    used: set[str] = set()
    for entity, contract in definition.entities.items():
        check = _EntityCheck(definition, contract, ("entities", entity), tables, located, columns)
        problems += check.problems()
        used |= {column.alias for column in check.columns_used()}
    for alias, source in definition.sources.items():
        path = ("sources", alias)
        if columns is not None and (source.system, source.entity) not in columns:
            text = f"system {source.system} has no entity {source.entity!r}"
            problems.append(
                located.problem((*path, "entity"), text, _among("entities", _entities(columns, source.system)))
            )
        if alias not in used:
            problems.append(located.problem(path, f"source {alias!r} is used nowhere", "remove it", at_key=True))
    return problems


@dataclass(frozen=True)
class _Use:
    """One place at which a definition names a column."""

    alias: str
    column: str | None
    """None where only the alias is named."""
    path: Path
    known: frozenset[str] | None = None
    """The aliases that may be named here; None when all of the definition's may."""


@dataclass(frozen=True)
class _EntityCheck:
    definition: ConnectorDefinition
    contract: EntityContract
    path: Path
    tables: Mapping[str, MappingTable | None]
    located: Located
    columns: EntityColumns | None

    def problems(self) -> Iterator[Problem]:
        yield from self._columns()
        yield from self._fields()
        yield from self._joins()
        yield from self._tables()
        yield from self._target()

    def columns_used(self) -> Iterator[_Use]:
        origin, joined = self.contract.origin, {self.contract.origin.source}
        yield _Use(origin.source, None, (*self.path, "from", "source"))
        if origin.pick is not None:
            path = (*self.path, "from", "pick")
            yield _Use(origin.source, origin.pick.by.column, (*path, "by", "column"))
            for place, term in enumerate(origin.pick.order):
                yield _Use(origin.source, term.column, (*path, "order", place, "column"))
        for number, join in enumerate(self.contract.joins):
            path = (*self.path, "joins", number)
            yield _Use(join.source, None, (*path, "source"))
            yield _qualified(join.on.left.column, (*path, "on", "left", "column"), joined)
            yield _Use(join.source, join.on.right.column, (*path, "on", "right", "column"))
            for place, test in enumerate(join.where):
                yield _Use(join.source, test.column, (*path, "where", place, "column"))
            for place, term in enumerate(join.order):
                yield _Use(join.source, term.column, (*path, "order", place, "column"))
            joined = joined | {join.source}
        for place, scope in enumerate(self.contract.scope):
            yield _qualified(scope.column, (*self.path, "scope", place, "column"), joined)
        for name, field in self.contract.fields.items():
            for place, column in enumerate(field.sources or ()):
                yield _qualified(column, (*self.path, "fields", name, "from", place), joined)

    def _columns(self) -> Iterator[Problem]:
        for use in self.columns_used():
            if use.alias not in self.definition.sources:
                yield self._problem(
                    use.path, f"there is no source {use.alias!r}", _among("sources", self.definition.sources)
                )
                continue
            if use.known is not None and use.alias not in use.known:
                yield self._problem(use.path, f"source {use.alias!r} is not joined here", _among("sources", use.known))
                continue
            source = self.definition.sources[use.alias]
            declared = None if self.columns is None else self.columns.get((source.system, source.entity))
            if declared is not None and use.column is not None and use.column not in declared:
                text = f"{source.system} {source.entity} has no column {use.column!r}"
                yield self._problem(use.path, text, _among("columns", declared))

    def _fields(self) -> Iterator[Problem]:
        fields, contract = self.contract.fields, self.contract
        fix = _among("fields", fields)
        if contract.key not in fields:
            yield self._problem((*self.path, "key"), f"the key {contract.key!r} is no field", fix)
        elif (key := fields[contract.key]).sources is None or key.format == "boolean":
            path = (*self.path, "fields", contract.key)
            yield self._problem(
                path, "the key is the same for many records", "take it from a column, as text", at_key=True
            )
        for place, name in enumerate(contract.correlate):
            path = (*self.path, "correlate", place)
            if name not in fields:
                yield self._problem(path, f"{name!r} is no field", fix)
            elif name == contract.key:
                yield self._problem(path, "records are matched by their key anyway", "remove it here")
        for name, value in contract.removal.suspended.items():
            path = (*self.path, "removal", "suspended", name)
            if name not in fields:
                yield self._problem(path, f"{name!r} is no field", fix, at_key=True)
            elif isinstance(value, bool) != (fields[name].format == "boolean"):
                yield self._problem(
                    path, f"{name} is {fields[name].format}, the value is not", "write a value of that form"
                )
        for reserved in {"key", "target_id"} & fields.keys():
            path = (*self.path, "fields", reserved)
            yield self._problem(
                path, f"{reserved!r} is a column of every snapshot", "give the field another name", at_key=True
            )
        for name, field in fields.items():
            if isinstance(field.constant, str) and formatted_text(field.constant, field.format) != field.constant:
                path = (*self.path, "fields", name, "constant")
                yield self._problem(path, f"the constant has not the form {field.format}", "write the finished value")

    def _joins(self) -> Iterator[Problem]:
        seen = {self.contract.origin.source}
        for number, join in enumerate(self.contract.joins):
            if join.source in seen:
                path = (*self.path, "joins", number, "source")
                yield self._problem(path, f"source {join.source!r} is joined a second time", "give it a second alias")
            seen.add(join.source)

    def _tables(self) -> Iterator[Problem]:
        for name, field in self.contract.fields.items():
            if field.map is None:
                continue
            path = (*self.path, "fields", name, "map")
            if field.map not in self.tables:
                fix = _among("tables", self.tables) + f" or write tables/{field.map}.csv"
                yield self._problem(path, f"there is no table {field.map!r}", fix)
            elif (table := self.tables[field.map]) is not None:
                first: dict[str, str] = {}
                for raw_id, same in zip(table.entries, stepped_texts(list(table.entries), field.steps), strict=True):
                    earlier = first.setdefault(same, raw_id)
                    if table.entries[earlier] != table.entries[raw_id]:
                        text = (
                            f"after the steps of field {name}, ids {earlier!r} (line {table.lines[earlier]}) "
                            f"and {raw_id!r} are the same, with different codes"
                        )
                        file = f"{self.located.file.partition('/')[0]}/tables/{table.name}.csv"
                        yield Problem(file, table.lines[raw_id], 1, text, "keep one of them")

    def _target(self) -> Iterator[Problem]:
        if self.columns is None:
            return
        target, entity = self.definition.target.system, str(self.path[-1])
        declared = self.columns.get((target, entity))
        if declared is None:
            fix = _among("entities", _entities(self.columns, target))
            yield self._problem(self.path, f"system {target} has no entity {entity!r}", fix, at_key=True)
            return
        for name in self.contract.fields:
            if name not in declared:
                path = (*self.path, "fields", name)
                yield self._problem(
                    path, f"{target} {entity} has no column {name!r}", _among("columns", declared), at_key=True
                )

    def _problem(self, path: Path, text: str, fix: str, *, at_key: bool = False) -> Problem:
        return self.located.problem(path, text, fix, at_key=at_key)


def _qualified(column: str, path: Path, known: Collection[str]) -> _Use:
    alias, _, name = column.partition(".")
    return _Use(alias, name, path, frozenset(known))


def _entities(columns: EntityColumns, system: str) -> list[str]:
    return [entity for name, entity in columns if name == system]


def _among(what: str, names: Collection[str]) -> str:
    return f"the {what} are {', '.join(sorted(names))}" if names else f"there are no {what}"
