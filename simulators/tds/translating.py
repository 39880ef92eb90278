"""Translates the expressions of a query from T-SQL to SQLite, with types and with SQL Server's ways of comparing.

Whole queries are translated by `querying`, which builds on this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from simulators.tds.collation import KNOWN_COLLATIONS
from simulators.tds.conversion import date_part
from simulators.tds.errors import NotSimulatedError, SqlServerError, syntax_error
from simulators.tds.functions import AGGREGATES, RANKINGS, aggregate, written
from simulators.tds.parts import (
    Binds,
    OutColumn,
    Part,
    Scope,
    Surroundings,
    cast,
    collated,
    common_type,
    comparable,
    levelled,
    typed,
)
from simulators.tds.sqltypes import (
    BIGINT,
    DATETIME,
    DECIMALS,
    FLOATS,
    INT,
    INTEGER_BYTES,
    MAX,
    TEXTS,
    SqlType,
    as_decimal,
    decimal_type,
    text_type,
    unified,
)
from simulators.tds.syntax import (
    COMPARISONS,
    Between,
    Binary,
    Call,
    Case,
    Cast,
    Collate,
    Exists,
    Expression,
    In,
    IsNull,
    Like,
    Literal,
    Name,
    Query,
    Scalar,
    Star,
    Unary,
    Variable,
    Window,
)


@dataclass(slots=True)
class Grouping:
    """What a grouped query may name outside of its aggregates."""

    scope: Scope
    allowed: tuple[Expression, ...]
    allowed_sql: frozenset[str]
    outside: list[str] = field(default_factory=list)
    """Columns named outside although they are not grouped by."""
    depth: int = 0
    """Above 0 inside an aggregate or inside an expression that is grouped by."""


class ExpressionTranslator(ABC):
    """Expressions within the scopes of a query."""

    def __init__(self, surroundings: Surroundings, binds: Binds) -> None:
        self._surroundings = surroundings
        self.binds = binds
        self._groupings: list[Grouping] = []
        self.found_aggregate = False

    @abstractmethod
    def subquery(self, query: Query, scope: Scope | None) -> tuple[str, tuple[OutColumn, ...]]:
        """Translate a query that stands inside another."""

    def condition(self, part: Expression, scope: Scope) -> str:  # noqa: PLR0911 - one way out for each kind
        """Translate what is true or false."""
        match part:
            case Binary("AND" | "OR" as sign):
                links = (self.condition(each, scope) for each in _chain(part, sign))
                return f"({f' {sign} '.join(links)})"
            case Unary("NOT", operand):
                return f"(NOT {self.condition(operand, scope)})"
            case Binary(sign, left, right) if sign in COMPARISONS:
                return self._comparison(sign, self.value(left, scope), self.value(right, scope))
            case Between(operand, low, high, is_negated):
                parts = [self.value(each, scope) for each in (operand, low, high)]
                one, first, last = self._alike(parts)
                return f"({collated(one)} {'NOT ' * is_negated}BETWEEN {first.sql} AND {last.sql})"
            case Like(operand, pattern, escape, is_negated):
                texts = [self._as_text(self.value(each, scope)).sql for each in (operand, pattern)]
                sign = self.value(escape, scope).sql if escape is not None else "NULL"
                return f"({'NOT ' * is_negated}tds_like({texts[1]}, {texts[0]}, {sign}))"
            case IsNull(operand, is_negated):
                return f"({self.value(operand, scope).sql} IS {'NOT ' * is_negated}NULL)"
            case Exists(query):
                return f"EXISTS ({self.subquery(query, scope)[0]})"
            case In():
                return self._in(part, scope)
            case _:
                raise syntax_error("condition")

    def value(self, part: Expression, scope: Scope) -> Part:
        """Translate a value."""
        grouping = self._groupings[-1] if self._groupings else None
        if grouping is not None and part in grouping.allowed:
            grouping.depth += 1
            try:
                return self._value(part, scope)
            finally:
                grouping.depth -= 1
        return self._value(part, scope)

    def _value(self, part: Expression, scope: Scope) -> Part:  # noqa: PLR0911, PLR0912 - one branch and one way out for each kind
        match part:
            case Literal(value, kind):
                return self.binds.literal(value, kind)
            case Name(parts):
                return self._column(parts, scope)
            case Variable(name):
                return self.binds.literal(*self._surroundings.variable(name))
            case Unary(sign, operand):
                return self._signed(sign, self.value(operand, scope))
            case Binary(sign, left, right):
                return self._arithmetic(sign, self.value(left, scope), self.value(right, scope))
            case Cast(operand, kind, style, is_try):
                return cast(self.value(operand, scope), kind, self.binds, style=style, is_try=is_try)
            case Case():
                return self._case(part, scope)
            case Call():
                return self._call(part, scope)
            case Scalar(query):
                sql, columns = self.subquery(query, scope)
                if len(columns) != 1:
                    raise SqlServerError(
                        116,
                        "Only one expression can be specified in the select list when the subquery is not introduced "
                        "with EXISTS.",
                    )
                return Part(sql=f"({sql})", kind=columns[0].kind)
            case Collate(operand, collation):
                if collation.lower() not in KNOWN_COLLATIONS:
                    raise NotSimulatedError(f"COLLATE {collation}")
                return self.value(operand, scope)
            case Star():
                raise syntax_error("*")
            case _:
                raise syntax_error("condition")

    def _column(self, parts: tuple[str, ...], scope: Scope) -> Part:
        found, owner = scope.find(parts)
        for grouping in self._groupings:
            if grouping.scope is owner and not grouping.depth and found.sql not in grouping.allowed_sql:
                grouping.outside.append(".".join(parts))
        return found

    def _signed(self, sign: str, operand: Part) -> Part:
        if not typed(operand).is_number:
            operand = cast(operand, INT, self.binds)
        if operand.is_literal and isinstance(operand.value, (int, float)) and sign != "~":
            return self.binds.literal(-operand.value if sign == "-" else operand.value, operand.kind)
        return Part(sql=f"({sign}{operand.sql})", kind=operand.kind, is_nullable=operand.is_nullable)

    def _arithmetic(self, sign: str, left: Part, right: Part) -> Part:
        one, other = typed(left), typed(right)
        if sign == "+" and one.is_text and other.is_text:
            return self._joined(left, right)
        if DATETIME.family in {one.family, other.family} and sign in {"+", "-"}:
            days, moment = (left, right) if one.is_number else (right, left)
            if typed(moment).kind in {"datetime", "smalldatetime"} and typed(days).kind in INTEGER_BYTES:
                number = f"{'-' * (sign == '-')}{days.sql}"
                return Part(sql=f"tds_dateadd('day', {number}, {moment.sql}, '{moment.kind}')", kind=moment.kind)
            raise NotSimulatedError(f"{one} {sign} {other}")
        if {one.family, other.family} - {"number", "text"}:
            raise SqlServerError(402, f"The data types {one.kind} and {other.kind} are incompatible in the operator.")
        kind = common_type([left, right])
        if not kind.is_number:
            raise SqlServerError(8117, f"Operand data type {kind.kind} is invalid for operator {sign}.")
        left, right = (each if typed(each).is_number else cast(each, kind, self.binds) for each in (left, right))
        return self._computed(sign, left, right)

    def _computed(self, sign: str, left: Part, right: Part) -> Part:
        kind = _result(sign, _counted(left), _counted(right))
        if sign == "/":
            is_whole = kind.kind in INTEGER_BYTES
            operands = [each.sql if is_whole else f"CAST({each.sql} AS REAL)" for each in (left, right)]
            sql = f"tds_div({operands[0]}, {operands[1]})"
        elif sign == "%" and kind.kind in INTEGER_BYTES:
            sql = f"tds_mod({left.sql}, {right.sql})"
        elif sign in {"+", "-", "*"} or (sign in {"&", "|"} and kind.kind in INTEGER_BYTES):
            sql = f"({left.sql} {sign} {right.sql})"
        else:
            raise NotSimulatedError(f"{left.kind} {sign} {right.kind}")
        if kind.kind in DECIMALS:
            sql = f"ROUND({sql}, {kind.scale})"
        return Part(sql=sql, kind=kind, is_nullable=left.is_nullable or right.is_nullable)

    def _joined(self, left: Part, right: Part) -> Part:
        one, other = typed(left), typed(right)
        kind = "nvarchar" if "n" in {one.kind[0], other.kind[0]} else "varchar"
        if MAX in {one.length, other.length}:
            joined = SqlType(kind=kind, length=MAX)
        else:
            joined = text_type(kind, min(one.length + other.length, 4000 if kind == "nvarchar" else 8000))
        is_nullable = left.is_nullable or right.is_nullable
        return Part(sql=f"({left.sql} || {right.sql})", kind=joined, is_nullable=is_nullable)

    def _as_text(self, part: Part) -> Part:
        return part if typed(part).kind in TEXTS else cast(part, text_type("varchar", 40), self.binds)

    def _alike(self, parts: list[Part]) -> list[Part]:
        kind = common_type(parts)
        return [comparable(each, kind, self.binds) for each in parts]

    def _comparison(self, sign: str, left: Part, right: Part) -> str:
        one, other = self._alike([left, right])
        if sign == "=":
            one, other = levelled([one, other], self.binds)
        # One COLLATE is enough; on a column it is the column's own and an index still serves.
        first = collated(one) if not other.is_column else one.sql
        return f"({first} {sign} {other.sql})"

    def _in(self, part: In, scope: Scope) -> str:
        operand = self.value(part.operand, scope)
        negation = "NOT " * part.is_negated
        if isinstance(part.items, Query):
            sql, columns = self.subquery(part.items, scope)
            if len(columns) != 1:
                raise SqlServerError(
                    116,
                    "Only one expression can be specified in the select list when the subquery is not introduced "
                    "with EXISTS.",
                )
            wanted = unified(typed(operand), columns[0].kind)
            if columns[0].kind.family != wanted.family:
                raise NotSimulatedError(f"{operand.kind} IN (SELECT {columns[0].kind})")
            return f"({collated(comparable(operand, wanted, self.binds))} {negation}IN ({sql}))"
        parts = self._alike([operand, *(self.value(item, scope) for item in part.items)])
        one, *items = levelled(parts, self.binds)
        return f"({collated(one)} {negation}IN ({', '.join(item.sql for item in items)}))"

    def _case(self, part: Case, scope: Scope) -> Part:
        whens = []
        if part.operand is None:
            conditions = [self.condition(when, scope) for when, _ in part.whens]
        else:
            operand = self.value(part.operand, scope)
            conditions = [self._comparison("=", operand, self.value(when, scope)) for when, _ in part.whens]
        values = [self.value(then, scope) for _, then in part.whens]
        if part.otherwise is not None:
            values.append(self.value(part.otherwise, scope))
        kind = common_type(values)
        values = [each if each.kind == kind else cast(each, kind, self.binds) for each in values]
        for condition, then in zip(conditions, values, strict=False):
            whens.append(f"WHEN {condition} THEN {then.sql}")
        otherwise = f" ELSE {values[-1].sql}" if part.otherwise is not None else ""
        is_nullable = part.otherwise is None or any(each.is_nullable for each in values)
        return Part(sql=f"CASE {' '.join(whens)}{otherwise} END", kind=kind, is_nullable=is_nullable)

    def _call(self, call: Call, scope: Scope) -> Part:
        if call.name in RANKINGS:
            if call.over is None or not call.over.order:
                raise SqlServerError(4112, f"The function '{call.name}' must have an OVER clause with ORDER BY.")
            return Part(sql=f"{call.name}() {self._window(call.over, scope)}", kind=BIGINT, is_nullable=False)
        if call.name in AGGREGATES:
            return self._aggregate(call, scope)
        if call.over is not None:
            raise NotSimulatedError(f"{call.name} OVER")
        if call.name in {"DATEADD", "DATEDIFF", "DATEDIFF_BIG", "DATEPART"} and call.arguments:
            return self._on_dates(call, scope)
        arguments = [self.value(each, scope) for each in call.arguments]
        if all(each.is_literal for each in arguments):
            constant = self._surroundings.constant(call.name, tuple(each.value for each in arguments))
            if constant is not None:
                return self.binds.literal(*constant)
        return written(call.name, arguments, self.binds)

    def _aggregate(self, call: Call, scope: Scope) -> Part:
        if len(call.arguments) != 1:
            raise SqlServerError(174, f"The {call.name.lower()} function requires 1 argument(s).", severity=15)
        if call.over is None:
            self.found_aggregate = True
        for grouping in self._groupings:
            grouping.depth += call.over is None
        if isinstance(call.arguments[0], Star):
            if not call.name.startswith("COUNT"):
                raise syntax_error("*")
            part = Part(sql="COUNT(*)", kind=INT if call.name == "COUNT" else BIGINT, is_nullable=False)
        else:
            part = aggregate(call.name, self.value(call.arguments[0], scope), is_distinct=call.is_distinct)
        for grouping in self._groupings:
            grouping.depth -= call.over is None
        if call.over is None:
            return part
        return Part(sql=f"{part.sql} {self._window(call.over, scope)}", kind=part.kind)

    def _window(self, window: Window, scope: Scope) -> str:
        parts = []
        if window.partition:
            parts.append("PARTITION BY " + ", ".join(collated(self.value(each, scope)) for each in window.partition))
        if window.order:
            terms = (
                collated(self.value(each.term, scope)) + (" DESC" if each.is_descending else "")
                for each in window.order
            )
            parts.append("ORDER BY " + ", ".join(terms))
        return f"OVER ({' '.join(parts)})"

    def _on_dates(self, call: Call, scope: Scope) -> Part:
        first = call.arguments[0]
        if not isinstance(first, Name):
            raise SqlServerError(1023, f"Invalid parameter 1 specified for {call.name.lower()}.", severity=15)
        part = date_part(first.parts[-1])
        arguments = [self.value(each, scope) for each in call.arguments[1:]]
        wanted = {"DATEADD": 2, "DATEPART": 1}.get(call.name, 2)
        if len(arguments) != wanted:
            raise SqlServerError(
                174, f"The {call.name.lower()} function requires {wanted + 1} argument(s).", severity=15
            )
        moments = [
            each if typed(each).family in {"datetime", "date", "time"} else cast(each, DATETIME, self.binds)
            for each in (arguments[1:] if call.name == "DATEADD" else arguments)
        ]
        if call.name == "DATEPART":
            return Part(sql=f"tds_datepart('{part}', {moments[0].sql})", kind=INT)
        if call.name == "DATEADD":
            sql = f"tds_dateadd('{part}', {arguments[0].sql}, {moments[0].sql}, '{moments[0].kind}')"
            return Part(sql=sql, kind=moments[0].kind)
        kind = INT if call.name == "DATEDIFF" else BIGINT
        return Part(sql=f"tds_datediff('{part}', {moments[0].sql}, {moments[1].sql})", kind=kind)


def _chain(part: Expression, sign: str) -> list[Expression]:
    """The links of `a AND b AND c`, from left to right; without brackets between them, whose depth SQLite limits."""
    links: list[Expression] = []
    while isinstance(part, Binary) and part.sign == sign:
        links.append(part.right)
        part = part.left
    return [part, *reversed(links)]


def _counted(part: Part) -> SqlType:
    """The type of an operand; a whole number written out beside a decimal counts only the digits it has."""
    if part.is_literal and part.kind == INT and isinstance(part.value, int):
        return SqlType(kind="int", precision=len(str(abs(part.value))))
    return typed(part)


def _result(sign: str, left: SqlType, right: SqlType) -> SqlType:
    """The type of a computed number, by the server's rules for precision and scale."""
    kind = unified(left, right)
    if kind.kind in FLOATS or kind.kind in INTEGER_BYTES or "money" in kind.kind:
        return SqlType(
            kind="int" if kind.kind == "bit" else kind.kind,
            precision=kind.precision * ("money" in kind.kind),
            scale=kind.scale,
        )
    one, other = as_decimal(left), as_decimal(right)
    match sign:
        case "*":
            return decimal_type(one.precision + other.precision + 1, one.scale + other.scale)
        case "/":
            scale = max(6, one.scale + other.precision + 1)
            return decimal_type(one.precision - one.scale + other.scale + scale, scale)
        case _:
            scale = max(one.scale, other.scale)
            return decimal_type(max(one.precision - one.scale, other.precision - other.scale) + scale + 1, scale)
