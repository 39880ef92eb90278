"""A source made of SQL entities: everything of `Source` that needs no knowledge of a vendor."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.ports.system import Column, Finding
from shared.sql_reading.engine import begin_snapshot
from shared.sql_reading.reading import SqlEntity, SqlReading
from shared.sql_reading.refusals import translated
from shared.sql_reading.settings import SqlSettings
from shared.sql_reading.shape import find_tables


class SqlSource:
    """A database that can be read; see `shared.ports.system.Source`."""

    def __init__(self, entities: Sequence[SqlEntity], *, engine: Engine, settings: SqlSettings) -> None:
        self._entities = {entity.name: entity for entity in entities}
        self._engine = engine
        self._settings = settings

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity, known without asking the database."""
        return self._entity(entity).columns

    def read(self, entity: str) -> SqlReading:
        """A new reading in a transaction of its own."""
        return SqlReading(self._entity(entity), engine=self._engine, settings=self._settings)

    async def check(self) -> Sequence[Finding]:
        """Connection and login first; then, for each entity, its tables, its columns and the right to read them."""
        return await asyncio.to_thread(self._check)

    async def close(self) -> None:
        """Gives the engine back."""
        self._engine.dispose()

    def _entity(self, name: str) -> SqlEntity:
        try:
            return self._entities[name]
        except KeyError:
            close = difflib.get_close_matches(name, self._entities, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(self._entities))}"
            raise StopRun("SRC_CONFIG", f"entity {name}: is not known to this system; {hint}", entity=name) from None

    def _check(self) -> list[Finding]:
        try:
            begin_snapshot(self._engine).close()
        except SQLAlchemyError as problem:
            return [_finding(translated(problem, entity="(connection)"))]
        findings = [
            Finding("network", True, "the database answers"),
            Finding("authentication", True, "the database accepts the login"),
        ]
        for entity in self._entities.values():
            findings.append(self._check_entity(entity))
        return findings

    def _check_entity(self, entity: SqlEntity) -> Finding:
        try:
            with begin_snapshot(self._engine) as connection:
                tables, missing = find_tables(connection, entity.needs, schema_name=self._settings.schema_name)
                if missing:
                    return Finding("shape", False, f"entity {entity.name}: {'; '.join(missing)}")
                connection.execute(entity.build(tables).rows.limit(1)).close()
                absent = [
                    f"{need.name}.{name}"
                    for need in entity.needs
                    for name in need.optional
                    if not tables[need.alias].has(name)
                ]
        except SQLAlchemyError as problem:
            return _finding(translated(problem, entity=entity.name))
        note = f"; read as null, because the database has none: {', '.join(absent)}" if absent else ""
        return Finding("shape", True, f"entity {entity.name}: can be read{note}")


def _finding(error: AetherError) -> Finding:
    match error:
        case TryLater():
            subject = "network"
        case NeedsPerson() if error.code == "SRC_AUTH":
            subject = "permission" if "may not read" in error.message else "authentication"
        case NeedsPerson():
            subject = "settings"
        case _:
            subject = "shape"
    return Finding(subject, False, error.message)
