"""What the translation from T-SQL to SQLite passes around: pieces of SQLite's SQL with the SQL Server type they have.

A piece knows its type because a TDS answer declares every column before the first row, and because SQLite converts
where SQL Server does not and the other way round. Pure, but for the values it is told about the session.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from simulators.tds import conversion
from simulators.tds.collation import COLLATION
from simulators.tds.errors import NotSimulatedError, SqlServerError, invalid_column
from simulators.tds.sqltypes import INT, SqlType, Stored, unified


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One value as SQLite computes it."""

    sql: str
    kind: SqlType | None
    """None for a NULL without type."""
    is_nullable: bool = True
    is_column: bool = False
    """A column of a table, which brings its collation along."""
    is_literal: bool = False
    value: Stored = None
    """What a literal holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutColumn:
    """One column of a result."""

    name: str
    kind: SqlType
    is_nullable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTable:
    """A table that a name stands for."""

    sqlite_name: str
    columns: tuple[OutColumn, ...]
    names: tuple[str, ...]
    """Database, schema and table, for names that are qualified with them."""


class Surroundings(Protocol):
    """What a query can name beside its own parts; the session answers."""

    def table(self, parts: tuple[str, ...]) -> FoundTable:
        """Find a table or view, or refuse as the server does."""
        ...

    def variable(self, name: str) -> tuple[Stored, SqlType]:
        """The value of `@name` or `@@NAME`."""
        ...

    def constant(self, name: str, arguments: tuple[Stored, ...]) -> tuple[Stored, SqlType] | None:
        """What a function of the session answers, such as DB_NAME(); None when it is no such function."""
        ...


@dataclass(slots=True)
class Binds:
    """Values handed to SQLite beside the text."""

    values: dict[str, Stored] = field(default_factory=dict)
    has_uneven_texts: bool = False
    """Whether texts that may have different lengths are compared for equality; `session` says why that matters."""

    def literal(self, value: Stored, kind: SqlType | None) -> Part:
        """A piece that holds a value."""
        if value is None:
            sql = "NULL"
        elif isinstance(value, (int, float)):
            sql = repr(value) if value >= 0 else f"({value!r})"
        else:
            name = f"v{len(self.values)}"
            self.values[name] = value
            sql = f":{name}"
        return Part(sql=sql, kind=kind, is_literal=True, value=value, is_nullable=value is None)


@dataclass(slots=True)
class FromSource:
    """One table or derived table in FROM, under SQLite's own alias for it."""

    alias: str
    called: str | None
    names: tuple[str, ...]
    columns: tuple[tuple[OutColumn, str], ...]
    """Each column with its name in SQLite."""

    def answers_to(self, qualifier: tuple[str, ...]) -> bool:
        """Whether a qualifier means this source."""
        wanted = tuple(part.lower() for part in qualifier)
        if self.called is not None:
            return wanted == (self.called.lower(),)
        mine = tuple(part.lower() for part in self.names)[-len(wanted) :]
        return all(part in {"", own} for part, own in zip(wanted, mine, strict=False)) and len(mine) == len(wanted)


@dataclass(slots=True)
class Scope:
    """The sources a name may come from, and the scope around."""

    outer: Scope | None
    sources: list[FromSource] = field(default_factory=list)
    has_outer_join: bool = False

    def find(self, parts: tuple[str, ...]) -> tuple[Part, Scope]:
        """Find a column; the scope says whether it is the query's own or one around it."""
        column = parts[-1].lower()
        qualifier = parts[:-1]
        scope: Scope | None = self
        is_known = False
        while scope is not None:
            sources = [each for each in scope.sources if not qualifier or each.answers_to(qualifier)]
            is_known = is_known or bool(sources)
            found = [
                (source, out, name) for source in sources for out, name in source.columns if out.name.lower() == column
            ]
            if len(found) > 1:
                raise SqlServerError(209, f"Ambiguous column name '{parts[-1]}'.")
            if found:
                source, out, name = found[0]
                is_nullable = out.is_nullable or scope.has_outer_join
                sql = f'{source.alias}."{name}"'
                return Part(sql=sql, kind=out.kind, is_column=True, is_nullable=is_nullable), scope
            scope = scope.outer
        if qualifier and not is_known:
            whole = ".".join(parts)
            raise SqlServerError(4104, f'The multi-part identifier "{whole}" could not be bound.')
        raise invalid_column(parts[-1])


def collated(part: Part) -> str:
    """The piece for a place where texts are compared, grouped or ordered."""
    if part.kind is not None and part.kind.is_text and not part.is_column:
        return f"({part.sql}) COLLATE {COLLATION}"
    return part.sql


def typed(part: Part) -> SqlType:
    """The type of a piece; a NULL without type counts as int, as on the server."""
    return part.kind if part.kind is not None else INT


def common_type(parts: list[Part]) -> SqlType:
    """The type that all these are converted to."""
    kinds = [part.kind for part in parts if part.kind is not None]
    if not kinds:
        return INT
    kind = kinds[0]
    for other in kinds[1:]:
        kind = unified(kind, other)
    return kind


def cast(part: Part, target: SqlType, binds: Binds, *, style: int = 0, is_try: bool = False) -> Part:
    """Convert a piece as CAST does."""
    source = part.kind
    if source == target:
        return part
    if source is None:
        return Part(sql=part.sql, kind=target, is_literal=part.is_literal, value=None)
    if {source.family, target.family} in ({"binary", "datetime"}, {"date", "number"}):
        raise NotSimulatedError(f"CAST from {source} to {target}")
    if part.is_literal:
        value = conversion.convert(part.value, source=source, target=target, style=style, is_try=is_try)
        return binds.literal(value, target)
    sql = f"tds_cast({part.sql}, '{source}', '{target}', {style}, {int(is_try)})"
    return Part(sql=sql, kind=target, is_nullable=part.is_nullable or is_try)


def levelled(parts: list[Part], binds: Binds) -> list[Part]:
    """Give texts that are compared for equality one length where it is known, and note where it is not."""
    widths = {part.kind.length for part in parts if part.kind is not None and part.kind.kind in {"char", "nchar"}}
    if not any(part.kind is not None and part.kind.is_text for part in parts):
        return parts
    found = []
    for part in parts:
        if part.is_literal and isinstance(part.value, str) and len(widths) == 1:
            found.append(binds.literal(part.value.rstrip(" ").ljust(next(iter(widths))), part.kind))
            continue
        is_fixed = part.kind is None or part.kind.kind in {"char", "nchar"}
        binds.has_uneven_texts = binds.has_uneven_texts or not is_fixed or len(widths) != 1
        found.append(part)
    return found


def comparable(part: Part, target: SqlType, binds: Binds) -> Part:
    """Convert a piece only where SQLite would compare it differently."""
    if part.kind is None or part.kind.family == target.family:
        return part
    return cast(part, target, binds)
