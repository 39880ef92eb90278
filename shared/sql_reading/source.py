"""A source made of SQL entities: everything of `Source` that needs no knowledge of a vendor."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence

from sqlalchemy import Engine

from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding
from shared.sql_reading.engine import begin_snapshot
from shared.sql_reading.reading import Preflight, Prepare, SqlReading
from shared.sql_reading.refusals import translating
from shared.sql_reading.settings import SqlSettings
from shared.sql_reading.shape import SqlEntity, find_tables


class SqlSource:
    """A database that can be read; see `shared.ports.system.Source`."""

    def __init__(
        self,
        entities: Sequence[SqlEntity],
        *,
        engine: Engine,
        settings: SqlSettings,
        surroundings: Surroundings,
        preflight: Preflight | None = None,
        prepare: Prepare | None = None,
        report: Preflight | None = None,
    ) -> None:
        """`preflight` is looked at before every reading and by `check`, `report` by `check` alone."""
        self._report = report
        self._prepare = prepare
        self._surroundings = surroundings
        self._entities = {entity.name: entity for entity in entities}
        self._engine = engine
        self._settings = settings
        self._preflight = preflight

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity, known without asking the database."""
        return self._entity(entity).columns

    def read(self, entity: str) -> SqlReading:
        """A new reading in a transaction of its own."""
        return SqlReading(
            self._entity(entity),
            engine=self._engine,
            settings=self._settings,
            surroundings=self._surroundings,
            preflight=self._preflight,
            prepare=self._prepare,
        )

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
        findings = [
            Finding("network", True, "the database answers"),
            Finding("authentication", True, "the database accepts the login"),
        ]
        try:
            with translating(entity="(connection)"):
                if self._prepare is not None:
                    self._prepare()
                with begin_snapshot(self._engine) as connection:
                    findings += self._preflight(connection) if self._preflight is not None else ()
        except AetherError as error:
            return [_finding(error)]
        if self._settings.proof == "none":
            findings.append(
                Finding("certificate", True, "isolation read_uncommitted proves nothing: no removals will be planned")
            )
        for name in self._settings.checked_entities or self._entities:
            if name in self._entities:
                findings.append(self._check_entity(self._entities[name]))
            else:
                findings.append(Finding("settings", False, f"checked_entities: there is no entity {name}"))
        if self._report is not None:
            try:
                with translating(entity="(report)"), begin_snapshot(self._engine) as connection:
                    findings += self._report(connection)
            except AetherError as error:
                findings.append(_finding(error))
        return findings

    def _check_entity(self, entity: SqlEntity) -> Finding:
        try:
            with translating(entity=entity.name), begin_snapshot(self._engine) as connection:
                tables, missing = find_tables(connection, entity.needs, schema_name=self._settings.schema_name)
                if missing:
                    return Finding("shape", False, f"entity {entity.name}: {'; '.join(missing)}")
                connection.execute(entity.build(tables).rows.limit(1)).all()
        except AetherError as error:
            return _finding(error)
        absent = [
            f"{need.name}.{name}" if need.alias in tables else need.name
            for need in entity.needs
            for name in (need.optional if need.alias in tables else ("",))
            if need.alias not in tables or not tables[need.alias].has(name)
        ]
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
