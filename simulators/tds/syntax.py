"""The parts that a T-SQL batch is made of once it is parsed: expressions, queries and statements. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulators.tds.sqltypes import SqlType, Stored


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; its stored value and its type (None for NULL)."""

    value: Stored
    kind: SqlType | None


@dataclass(frozen=True, slots=True)
class Name:
    """A column, with what qualifies it in front."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Star:
    """`*` or `T.*`."""

    qualifier: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """`@name` or `@@NAME`."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """A sign, `~` or NOT before an operand."""

    sign: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic, comparison, AND or OR."""

    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """A function, an aggregate or a window function."""

    name: str
    arguments: tuple[Expression, ...]
    is_distinct: bool = False
    over: Window | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """OVER (PARTITION BY … ORDER BY …)."""

    partition: tuple[Expression, ...]
    order: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """CASE, with or without an operand."""

    operand: Expression | None
    whens: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


@dataclass(frozen=True, slots=True)
class Cast:
    """CAST, CONVERT and their TRY forms."""

    operand: Expression
    kind: SqlType
    style: int = 0
    is_try: bool = False


@dataclass(frozen=True, slots=True)
class In:
    """`x IN (…)` over values or a query."""

    operand: Expression
    items: tuple[Expression, ...] | Query
    is_negated: bool


@dataclass(frozen=True, slots=True)
class Between:
    """`x BETWEEN a AND b`."""

    operand: Expression
    low: Expression
    high: Expression
    is_negated: bool


@dataclass(frozen=True, slots=True)
class Like:
    """`x LIKE pattern ESCAPE c`."""

    operand: Expression
    pattern: Expression
    escape: Expression | None
    is_negated: bool


@dataclass(frozen=True, slots=True)
class IsNull:
    """`x IS [NOT] NULL`."""

    operand: Expression
    is_negated: bool


@dataclass(frozen=True, slots=True)
class Exists:
    """`EXISTS (query)`."""

    query: Query


@dataclass(frozen=True, slots=True)
class Scalar:
    """A query in brackets that stands for one value."""

    query: Query


@dataclass(frozen=True, slots=True)
class Collate:
    """`x COLLATE name`; there is one collation here, so only its name is checked."""

    operand: Expression
    collation: str


Expression = (
    Literal | Name | Star | Variable | Unary | Binary | Call | Case | Cast | In | Between | Like | IsNull | Exists
    | Scalar | Collate
)  # fmt: skip
COMPARISONS = frozenset({"=", "<>", "!=", "<", ">", "<=", ">=", "!<", "!>"})


def is_condition(part: Expression) -> bool:
    """Whether it is true or false, which in T-SQL is no value."""
    match part:
        case Binary(sign):
            return sign in COMPARISONS or sign in {"AND", "OR"}
        case Unary(sign):
            return sign == "NOT"
        case In() | Between() | Like() | IsNull() | Exists():
            return True
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Order:
    """One term of ORDER BY."""

    term: Expression
    is_descending: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One column of a select list."""

    term: Expression
    alias: str | None


@dataclass(frozen=True, slots=True)
class TableName:
    """A table in FROM; `arguments` make it a table-valued function."""

    parts: tuple[str, ...]
    alias: str | None
    arguments: tuple[Expression, ...] | None = None


@dataclass(frozen=True, slots=True)
class Derived:
    """A query in FROM, with the names it gives its columns."""

    query: Query
    alias: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """Two sources joined; CROSS has no condition."""

    kind: str
    left: Source
    right: Source
    condition: Expression | None


Source = TableName | Derived | Join


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT without ORDER BY."""

    items: tuple[Item, ...]
    source: Source | None
    where: Expression | None
    group: tuple[Expression, ...]
    having: Expression | None
    is_distinct: bool
    top: Expression | None


@dataclass(frozen=True, slots=True)
class Compound:
    """UNION, UNION ALL, EXCEPT or INTERSECT of two."""

    sign: str
    left: Body
    right: Body


Body = Select | Compound


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query."""

    body: Body
    order: tuple[Order, ...] = ()
    offset: Expression | None = None
    fetch: Expression | None = None
    named: tuple[tuple[str, tuple[str, ...], Query], ...] = field(default=())
    """Common table expressions: name, column names, query."""


@dataclass(frozen=True, slots=True)
class SetOption:
    """SET NOCOUNT ON and the like: words and values in order."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """USE database."""

    database: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """BEGIN, COMMIT, ROLLBACK or SAVE."""

    verb: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class If:
    """IF condition statement ELSE statement."""

    condition: Expression
    then: Statement
    otherwise: Statement | None


@dataclass(frozen=True, slots=True)
class WaitFor:
    """WAITFOR DELAY, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Print:
    """PRINT value."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Write:
    """A statement that writes; it is only ever refused."""

    verb: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Execute:
    """EXEC procedure arguments."""

    procedure: str
    arguments: tuple[tuple[str | None, Expression], ...]


Statement = Query | SetOption | Use | Transaction | If | WaitFor | Print | Write | Execute
