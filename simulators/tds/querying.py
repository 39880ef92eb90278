"""Translates a whole query from T-SQL to SQLite: select lists, sources, grouping, set operations, order and paging."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.tds.errors import NotSimulatedError, SqlServerError, invalid_column, syntax_error
from simulators.tds.parts import (
    Binds,
    FromSource,
    OutColumn,
    Part,
    Scope,
    Surroundings,
    cast,
    collated,
    typed,
)
from simulators.tds.sqltypes import INTEGER_BYTES, SqlType, Stored, unified
from simulators.tds.syntax import (
    Body,
    Compound,
    Derived,
    Expression,
    Join,
    Literal,
    Name,
    Order,
    Query,
    Select,
    Source,
    Star,
    TableName,
)
from simulators.tds.translating import ExpressionTranslator, Grouping


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A query as SQLite runs it."""

    sql: str
    values: dict[str, Stored]
    columns: tuple[OutColumn, ...]
    tables: tuple[str, ...]
    """What it reads, as `database.schema.table`."""
    has_uneven_texts: bool
    """See `Binds`."""


@dataclass(slots=True, kw_only=True)
class _Selected:
    """One SELECT before its columns are converted to those of a union."""

    items: list[tuple[str, Part]]
    is_distinct: bool
    rest: str
    scope: Scope
    grouping: Grouping | None
    limit: str | None
    is_grouped: bool


def translate(query: Query, surroundings: Surroundings, *, shuffle: bool = False) -> Translated:
    """Translate a query; with `shuffle` a result without ORDER BY comes in no order at all."""
    translator = QueryTranslator(surroundings, Binds(), shuffle=shuffle)
    sql, columns = translator.whole(query, None, is_outermost=True)
    return Translated(
        sql=sql,
        values=translator.binds.values,
        columns=columns,
        tables=tuple(dict.fromkeys(translator.tables)),
        has_uneven_texts=translator.binds.has_uneven_texts,
    )


class QueryTranslator(ExpressionTranslator):
    """Queries within queries."""

    def __init__(self, surroundings: Surroundings, binds: Binds, *, shuffle: bool = False) -> None:
        super().__init__(surroundings, binds)
        self.tables: list[str] = []
        self._shuffle = shuffle
        self._aliases = 0
        self._named: list[dict[str, tuple[str, tuple[OutColumn, ...]]]] = []

    def subquery(self, query: Query, scope: Scope | None) -> tuple[str, tuple[OutColumn, ...]]:
        """Translate a query that stands inside another."""
        before, groupings = self.found_aggregate, self._groupings
        self._groupings = []
        try:
            return self.whole(query, scope)
        finally:
            self.found_aggregate, self._groupings = before, groupings

    def whole(
        self, query: Query, outer: Scope | None, *, is_outermost: bool = False
    ) -> tuple[str, tuple[OutColumn, ...]]:
        """Translate a query with its common table expressions, its order and its page."""
        prefix = self._with(query)
        limit = None
        if isinstance(query.body, Select):
            selected = self._select(query.body, outer)
            columns = [
                OutColumn(name=name, kind=typed(part), is_nullable=part.is_nullable) for name, part in selected.items
            ]
            order = self._order(query.order, selected, columns)
            self._refuse_ungrouped(selected)
            sql = _written(selected, [part for _, part in selected.items])
            limit = selected.limit
        else:
            sql, columns = self._compound(query.body, outer)
            order = [self._position(each, columns) + (" DESC" if each.is_descending else "") for each in query.order]
        if order:
            sql += " ORDER BY " + ", ".join(order)
        elif is_outermost and self._shuffle and isinstance(query.body, Select) and not selected.is_grouped:
            sql = f"SELECT * FROM ({sql}) ORDER BY RANDOM()"  # noqa: S608 - names of the schema, quoted; values are bound
        sql += self._page(query, limit)
        if query.named:
            self._named.pop()
        return prefix + sql, tuple(columns)

    def _with(self, query: Query) -> str:
        if not query.named:
            return ""
        self._named.append({})
        parts = []
        for name, given, inner in query.named:
            sql, columns = self.subquery(inner, None)
            columns = _renamed(columns, given, name)
            alias = self._alias("w")
            parts.append(f"{alias} ({', '.join(f'c{number}' for number in range(len(columns)))}) AS ({sql})")
            self._named[-1][name.lower()] = (alias, columns)
        return f"WITH {', '.join(parts)} "

    def _alias(self, letter: str) -> str:
        self._aliases += 1
        return f"{letter}{self._aliases}"

    def _compound(self, body: Body, outer: Scope | None) -> tuple[str, list[OutColumn]]:
        branches = _branches(body)
        selected = [(sign, self._select(each, outer)) for sign, each in branches]
        width = len(selected[0][1].items)
        if any(len(each.items) != width for _, each in selected):
            raise SqlServerError(
                205,
                "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of "
                "expressions in their target lists.",
            )
        kinds: list[SqlType] = []
        for number in range(width):
            known = [part.kind for _, each in selected for _, part in [each.items[number]] if part.kind is not None]
            kind = known[0] if known else typed(selected[0][1].items[number][1])
            for other in known[1:]:
                kind = unified(kind, other)
            kinds.append(kind)
        texts = []
        for sign, each in selected:
            self._refuse_ungrouped(each)
            parts = [
                part if part.kind == kind else cast(part, kind, self.binds)
                for (_, part), kind in zip(each.items, kinds, strict=True)
            ]
            text = _written(each, parts)
            if each.limit is not None:
                text = f"SELECT * FROM ({text} LIMIT {each.limit})"  # noqa: S608 - names of the schema, quoted; values are bound
            texts.append(f"{sign} {text}" if sign else text)
        names = [name for name, _ in selected[0][1].items]
        return " ".join(texts), [OutColumn(name=name, kind=kind) for name, kind in zip(names, kinds, strict=True)]

    def _select(self, select: Select, outer: Scope | None) -> _Selected:
        scope = Scope(outer)
        source = ""
        if select.source is not None:
            source = f" FROM {self._source(select.source, scope)}"
        where = f" WHERE {self.condition(select.where, scope)}" if select.where is not None else ""
        before, self.found_aggregate = self.found_aggregate, False
        grouped = [self.value(each, scope) for each in select.group]
        for each in select.group:
            if isinstance(each, Literal):
                raise SqlServerError(164, "Each GROUP BY expression must contain at least one column.", severity=15)
        grouping = Grouping(scope=scope, allowed=select.group, allowed_sql=frozenset(part.sql for part in grouped))
        self._groupings.append(grouping)
        try:
            items = self._items(select, scope)
            having = f" HAVING {self.condition(select.having, scope)}" if select.having is not None else ""
        finally:
            self._groupings.pop()
        is_grouped = bool(grouped) or self.found_aggregate or select.having is not None
        self.found_aggregate = before
        group = f" GROUP BY {', '.join(collated(part) for part in grouped)}" if grouped else ""
        if select.top is not None:
            limit = self._count(select.top)
        return _Selected(
            items=items,
            is_distinct=select.is_distinct,
            rest=f"{source}{where}{group}{having}",
            scope=scope,
            grouping=grouping if is_grouped else None,
            limit=limit if select.top is not None else None,
            is_grouped=is_grouped,
        )

    def _items(self, select: Select, scope: Scope) -> list[tuple[str, Part]]:
        items: list[tuple[str, Part]] = []
        for item in select.items:
            if isinstance(item.term, Star):
                qualifier = item.term.qualifier
                sources = [each for each in scope.sources if not qualifier or each.answers_to(qualifier)]
                if not sources:
                    raise SqlServerError(107, f"The column prefix '{'.'.join(qualifier)}' does not match.", severity=15)
                for source in sources:
                    for out, name in source.columns:
                        part = Part(
                            sql=f'{source.alias}."{name}"', kind=out.kind, is_column=True,
                            is_nullable=out.is_nullable or scope.has_outer_join,
                        )  # fmt: skip
                        items.append((out.name, part))
                        grouping = self._groupings[-1]
                        if part.sql not in grouping.allowed_sql:
                            grouping.outside.append(out.name)
                continue
            name = item.alias or (item.term.parts[-1] if isinstance(item.term, Name) else "")
            items.append((name, self.value(item.term, scope)))
        return items

    def _refuse_ungrouped(self, selected: _Selected) -> None:
        if selected.grouping is not None and selected.grouping.outside:
            raise SqlServerError(
                8120,
                f"Column '{selected.grouping.outside[0]}' is invalid in the select list because it is not contained in "
                "either an aggregate function or the GROUP BY clause.",
            )

    def _order(self, order: tuple[Order, ...], selected: _Selected, columns: list[OutColumn]) -> list[str]:
        terms = []
        for each in order:
            position = _position_of(each.term, columns)
            term = str(position) if position is not None else self._ordered_by(each.term, selected)
            terms.append(term + (" DESC" if each.is_descending else ""))
        return terms

    def _ordered_by(self, term: Expression, selected: _Selected) -> str:
        if isinstance(term, Literal) and term.kind is not None:
            raise SqlServerError(408, "A constant expression was encountered in the ORDER BY list.")
        if selected.grouping is not None:
            self._groupings.append(selected.grouping)
        part = self.value(term, selected.scope)
        if selected.grouping is not None:
            self._groupings.pop()
        if part.is_literal:
            message = (
                "The SELECT item identified by the ORDER BY number 1 contains a variable as part of the expression."
            )
            raise SqlServerError(1008, message)
        if selected.is_distinct and part.sql not in {each.sql for _, each in selected.items}:
            raise SqlServerError(
                145, "ORDER BY items must appear in the select list if SELECT DISTINCT is specified.", severity=15
            )
        return collated(part)

    def _position(self, order: Order, columns: list[OutColumn]) -> str:
        term = order.term
        if isinstance(term, Name):
            # The server also takes the name with the alias that the first SELECT knows it by.
            term = Name(term.parts[-1:])
        position = _position_of(term, columns)
        if position is None:
            if isinstance(order.term, Name):
                raise invalid_column(order.term.parts[-1])
            raise SqlServerError(
                104, "ORDER BY items must appear in the select list if the statement contains a UNION operator."
            )
        return str(position)

    def _page(self, query: Query, limit: str | None) -> str:
        if query.offset is not None:
            if limit is not None:
                raise SqlServerError(10741, "A TOP can not be used in the same query as an OFFSET.", severity=15)
            fetch = self._count(query.fetch) if query.fetch is not None else "-1"
            return f" LIMIT {fetch} OFFSET {self._count(query.offset)}"
        return f" LIMIT {limit}" if limit is not None else ""

    def _count(self, expression: Expression) -> str:
        part = self.value(expression, Scope(None))
        if not part.is_literal or typed(part).kind not in INTEGER_BYTES or not isinstance(part.value, int):
            raise NotSimulatedError("TOP or OFFSET of an expression")
        if part.value < 0:
            raise SqlServerError(1060, "The number of rows must not be negative.", severity=15)
        return part.sql

    def _source(self, source: Source, scope: Scope) -> str:
        match source:
            case TableName():
                return self._table(source, scope)
            case Derived(query, name, given):
                sql, columns = self.subquery(query, None)
                alias = self._alias("d")
                columns = _renamed(columns, given, name)
                scope.sources.append(_derived(alias, name, columns))
                # A named WITH gives the columns the names c0, c1 …, whatever they are called inside.
                listed = ", ".join(f"c{number}" for number in range(len(columns)))
                return f"(WITH i ({listed}) AS ({sql}) SELECT * FROM i) AS {alias}"  # noqa: S608 - names of the schema, quoted; values are bound
            case Join(kind, left, right, condition):
                scope.has_outer_join = scope.has_outer_join or kind in {"LEFT", "RIGHT", "FULL"}
                sides = f"{self._source(left, scope)} {kind} JOIN {self._nested(right, scope)}"
                return sides if condition is None else f"{sides} ON {self.condition(condition, scope)}"
        raise syntax_error("FROM")

    def _nested(self, source: Source, scope: Scope) -> str:
        sql = self._source(source, scope)
        return f"({sql})" if isinstance(source, Join) else sql

    def _table(self, table: TableName, scope: Scope) -> str:
        if len(table.parts) == 1:
            for level in reversed(self._named):
                if table.parts[0].lower() in level:
                    inner, columns = level[table.parts[0].lower()]
                    alias = self._alias("n")
                    scope.sources.append(_derived(alias, table.alias or table.parts[0], columns))
                    return f"{inner} AS {alias}"
        parts = table.parts
        if table.arguments is not None and len(parts) == 1:
            parts = ("sys", parts[0])
        found = self._surroundings.table(parts)
        self.tables.append(".".join(found.names))
        alias = self._alias("t")
        listed = tuple((out, out.name) for out in found.columns)
        scope.sources.append(FromSource(alias=alias, called=table.alias, names=found.names, columns=listed))
        return f"{found.sqlite_name} AS {alias}"


def _derived(alias: str, name: str, columns: tuple[OutColumn, ...]) -> FromSource:
    listed = tuple((out, f"c{number}") for number, out in enumerate(columns))
    return FromSource(alias=alias, called=name, names=(name,), columns=listed)


def _renamed(columns: tuple[OutColumn, ...], given: tuple[str, ...], name: str) -> tuple[OutColumn, ...]:
    if given:
        if len(given) != len(columns):
            raise SqlServerError(8158, f"'{name}' has more columns than were specified in the column list.")
        columns = tuple(
            OutColumn(name=new, kind=out.kind, is_nullable=out.is_nullable)
            for new, out in zip(given, columns, strict=True)
        )
    for number, out in enumerate(columns, start=1):
        if not out.name:
            raise SqlServerError(8155, f"No column name was specified for column {number} of '{name}'.")
    names = [out.name.lower() for out in columns]
    twice = next((each for each in names if names.count(each) > 1), None)
    if twice is not None:
        raise SqlServerError(8156, f"The column '{twice}' was specified multiple times for '{name}'.")
    return columns


def _branches(body: Body) -> list[tuple[str, Select]]:
    """The selects of a compound from left to right, each with the sign before it."""
    if isinstance(body, Select):
        return [("", body)]
    if isinstance(body.right, Compound):
        raise NotSimulatedError(f"{body.sign} of a bracketed {body.right.sign}")
    return [*_branches(body.left), (body.sign, body.right)]


def _written(selected: _Selected, parts: list[Part]) -> str:
    listed = ", ".join(collated(part) for part in parts)
    return f"SELECT {'DISTINCT ' * selected.is_distinct}{listed}{selected.rest}"


def _position_of(term: Expression, columns: list[OutColumn]) -> int | None:
    """The column of the result that a term of ORDER BY means, counted from 1."""
    if isinstance(term, Literal) and isinstance(term.value, int):
        if not 1 <= term.value <= len(columns):
            message = (
                f"The ORDER BY position number {term.value} is out of range of the number of items in the select list."
            )
            raise SqlServerError(108, message, severity=15)
        return term.value
    if isinstance(term, Name) and len(term.parts) == 1:
        for number, column in enumerate(columns, start=1):
            if column.name.lower() == term.parts[0].lower():
                return number
    return None
