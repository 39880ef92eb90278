"""Parses the expressions of T-SQL by precedence, and keeps conditions and values apart as the language does. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Final

from simulators.tds.errors import NotSimulatedError, SqlServerError, syntax_error
from simulators.tds.lexing import Token
from simulators.tds.sqltypes import BIGINT, CODE_PAGE, FLOAT, INT, SqlType, decimal_type, make_type, text_type
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
    Order,
    Query,
    Scalar,
    Star,
    Unary,
    Variable,
    Window,
    is_condition,
)

DEPTH_MAX: Final = 100
_NO_COLUMN: Final = frozenset({
    "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "UNION", "EXCEPT", "INTERSECT", "ON", "JOIN", "AND", "OR",
    "THEN", "WHEN", "ELSE", "END", "AS", "IN", "BETWEEN", "LIKE", "IS", "BY", "INTO", "DISTINCT", "TOP", "SET",
    "INSERT", "UPDATE", "DELETE", "EXEC", "BEGIN", "INNER", "CROSS", "FULL", "OUTER", "ALL", "OVER", "WITH",
})  # fmt: skip
_CALLED_WITHOUT_BRACKETS: Final = frozenset(
    {"CURRENT_TIMESTAMP", "CURRENT_USER", "SYSTEM_USER", "SESSION_USER", "USER"}
)


class ExpressionParser(ABC):
    """Tokens in order, and expressions out of them."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @abstractmethod
    def query(self) -> Query:
        """Read a whole query."""

    def peek(self, ahead: int = 0) -> Token:
        """The token to come."""
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def next(self) -> Token:
        """Take the token to come."""
        token = self.peek()
        if token.kind == "end":
            raise syntax_error(self._tokens[self._at - 1].text if self._at else "")
        self._at += 1
        return token

    def at_end(self) -> bool:
        """Whether the batch is over."""
        return self.peek().kind == "end"

    def is_first(self) -> bool:
        """Whether nothing was taken yet."""
        return self._at == 0

    def take_word(self, *words: str) -> bool:
        """Take one of these words if it comes."""
        if self.peek().is_word(*words):
            self._at += 1
            return True
        return False

    def take_words(self, first: str, second: str) -> bool:
        """Take two words if they come."""
        if self.peek().is_word(first) and self.peek(1).is_word(second):
            self._at += 2
            return True
        return False

    def take_sign(self, sign: str) -> bool:
        """Take this sign if it comes."""
        if self.peek().is_sign(sign):
            self._at += 1
            return True
        return False

    def need_word(self, *words: str) -> None:
        """Take one of these words, or refuse the batch."""
        if not self.take_word(*words):
            raise syntax_error(self.peek().text)

    def need_sign(self, sign: str) -> None:
        """Take this sign, or refuse the batch."""
        if not self.take_sign(sign):
            raise syntax_error(self.peek().text)

    def name(self) -> str:
        """Take one name."""
        token = self.next()
        if token.kind not in {"word", "quoted"}:
            raise syntax_error(token.text)
        return token.text

    def alias(self) -> str:
        """Take the name of a result column, which may be in string quotes."""
        token = self.next()
        if token.kind not in {"word", "quoted", "string", "nstring"}:
            raise syntax_error(token.text)
        return token.text

    def name_parts(self) -> tuple[str, ...]:
        """Take a name of several parts; one left out (`db..table`) is empty."""
        parts = [self.name()]
        while self.take_sign("."):
            parts.append("" if self.peek().is_sign(".") else self.name())
        return tuple(parts)

    def qualified_star(self) -> Star | None:
        """Take `T.*` if it comes."""
        ahead = 0
        parts: list[str] = []
        while self.peek(ahead).kind in {"word", "quoted"} and self.peek(ahead + 1).is_sign("."):
            parts.append(self.peek(ahead).text)
            ahead += 2
        if not parts or not self.peek(ahead).is_sign("*"):
            return None
        self._at += ahead + 1
        return Star(tuple(parts))

    def skip_brackets(self) -> None:
        """Take a bracketed part unread: hints change nothing here."""
        self.need_sign("(")
        depth = 1
        while depth:
            token = self.next()
            depth += token.is_sign("(") - token.is_sign(")")

    def values(self) -> tuple[Expression, ...]:
        """Read values with commas between."""
        found = [self.value()]
        while self.take_sign(","):
            found.append(self.value())
        return tuple(found)

    def arguments(self) -> tuple[Expression, ...]:
        """Read the arguments of a function with their brackets."""
        self.need_sign("(")
        if self.take_sign(")"):
            return ()
        found = self.values()
        self.need_sign(")")
        return found

    def order_by(self) -> tuple[Order, ...]:
        """Read the terms after ORDER BY."""
        terms = []
        while True:
            term = self.value()
            is_descending = self.take_word("DESC")
            if not is_descending:
                self.take_word("ASC")
            terms.append(Order(term, is_descending))
            if not self.take_sign(","):
                return tuple(terms)

    def condition(self) -> Expression:
        """Read what must be true or false."""
        part = self._or()
        if not is_condition(part):
            raise SqlServerError(
                4145,
                "An expression of non-boolean type specified in a context where a condition is expected, "
                f"near '{self.peek().text}'.",
                severity=15,
            )
        return part

    def value(self) -> Expression:
        """Read what must be a value."""
        at = self._at
        part = self._or()
        if is_condition(part):
            raise syntax_error(next((each.text for each in self._tokens[at : self._at] if each.kind == "sign"), ""))
        return part

    def _or(self) -> Expression:
        part = self._and()
        while self.take_word("OR"):
            part = Binary("OR", self._as_condition(part), self._as_condition(self._and()))
        return part

    def _and(self) -> Expression:
        part = self._not()
        while self.take_word("AND"):
            part = Binary("AND", self._as_condition(part), self._as_condition(self._not()))
        return part

    def _not(self) -> Expression:
        if self.take_word("NOT"):
            return Unary("NOT", self._as_condition(self._not()))
        return self._comparison()

    def _as_condition(self, part: Expression) -> Expression:
        if not is_condition(part):
            raise syntax_error(self.peek().text)
        return part

    def _comparison(self) -> Expression:
        left = self._sum()
        if self.peek().kind == "sign" and self.peek().text in COMPARISONS:
            sign = self.next().text
            if self.peek().is_word("ALL", "ANY", "SOME"):
                raise NotSimulatedError(f"{sign} {self.peek().text}")
            return Binary({"!=": "<>", "!<": ">=", "!>": "<="}.get(sign, sign), left, self._sum())
        if self.take_word("IS"):
            is_negated = self.take_word("NOT")
            self.need_word("NULL")
            return IsNull(left, is_negated)
        is_negated = self.peek().is_word("NOT") and self.peek(1).is_word("IN", "LIKE", "BETWEEN")
        if is_negated:
            self.next()
        if self.take_word("IN"):
            return self._in(left, is_negated=is_negated)
        if self.take_word("BETWEEN"):
            low = self._sum()
            self.need_word("AND")
            return Between(left, low, self._sum(), is_negated)
        if self.take_word("LIKE"):
            pattern = self._sum()
            return Like(left, pattern, self._sum() if self.take_word("ESCAPE") else None, is_negated)
        return left

    def _in(self, left: Expression, *, is_negated: bool) -> Expression:
        self.need_sign("(")
        items = self.query() if self.peek().is_word("SELECT", "WITH") else self.values()
        self.need_sign(")")
        return In(left, items, is_negated)

    def _sum(self) -> Expression:
        part = self._product()
        while self.peek().is_sign("+", "-", "&", "|", "^"):
            part = Binary(self.next().text, part, self._product())
        return part

    def _product(self) -> Expression:
        part = self.operand()
        while self.peek().is_sign("*", "/", "%"):
            part = Binary(self.next().text, part, self.operand())
        return part

    def operand(self) -> Expression:
        """Read one operand with the signs before it and the collation behind it."""
        if self._depth == DEPTH_MAX:
            raise SqlServerError(191, "Some part of your SQL statement is nested too deeply.", severity=15)
        self._depth += 1
        if self.peek().is_sign("-", "+", "~"):
            sign = self.next().text
            part: Expression = Unary(sign, self.operand())
        else:
            part = self._primary()
        while self.take_word("COLLATE"):
            part = Collate(part, self.name())
        self._depth -= 1
        return part

    def _primary(self) -> Expression:  # noqa: PLR0911 - one way out for each kind
        token = self.next()
        match token.kind:
            case "string":
                # Without N in front, what the code page lacks is lost.
                text = token.text.encode(CODE_PAGE, "replace").decode(CODE_PAGE)
                return Literal(text, text_type("varchar", len(text)))
            case "nstring":
                return Literal(token.text, text_type("nvarchar", len(token.text)))
            case "number":
                return _number(token.text)
            case "binary":
                data = bytes.fromhex(token.text if len(token.text) % 2 == 0 else f"0{token.text}")
                return Literal(data, text_type("varbinary", len(data)))
            case "variable":
                return Variable(token.text)
            case "sign" if token.text == "(":
                return self._bracketed()
            case "word" if token.is_word("NULL", "DEFAULT"):
                return Literal(None, None)
            case "word" if token.is_word("CASE"):
                return self._case()
            case "word" if token.is_word("EXISTS"):
                self.need_sign("(")
                query = self.query()
                self.need_sign(")")
                return Exists(query)
            case "word" if token.is_word("CAST", "TRY_CAST", "CONVERT", "TRY_CONVERT") and self.peek().is_sign("("):
                return self._cast(token.text.upper())
            case "word" | "quoted":
                return self._name_or_call(token)
        raise syntax_error(token.text)

    def _bracketed(self) -> Expression:
        if self.peek().is_word("SELECT", "WITH"):
            query = self.query()
            self.need_sign(")")
            return Scalar(query)
        part = self._or()
        self.need_sign(")")
        return part

    def _case(self) -> Case:
        operand = None if self.peek().is_word("WHEN") else self.value()
        whens = []
        while self.take_word("WHEN"):
            when = self.condition() if operand is None else self.value()
            self.need_word("THEN")
            whens.append((when, self.value()))
        otherwise = self.value() if self.take_word("ELSE") else None
        self.need_word("END")
        if not whens:
            raise syntax_error("END")
        return Case(operand, tuple(whens), otherwise)

    def _cast(self, name: str) -> Cast:
        self.need_sign("(")
        style = 0
        if name.endswith("CAST"):
            operand = self.value()
            self.need_word("AS")
            kind = self._type()
        else:
            kind = self._type()
            self.need_sign(",")
            operand = self.value()
            if self.take_sign(","):
                style = int(self.next().text)
        self.need_sign(")")
        return Cast(operand, kind, style, name.startswith("TRY_"))

    def _type(self) -> SqlType:
        name = self.name_parts()[-1]
        given: list[str] = []
        if self.take_sign("("):
            given.append(self.next().text.lower())
            if self.take_sign(","):
                given.append(self.next().text)
            self.need_sign(")")
        try:
            return make_type(name, *[*given, None, None][:2], default_length=30)
        except ValueError as error:
            raise SqlServerError(243, f"Type {name} is not a defined system type. ({error})") from error

    def _name_or_call(self, token: Token) -> Expression:
        if token.kind == "word" and token.text.upper() in _NO_COLUMN:
            raise SqlServerError(156, f"Incorrect syntax near the keyword '{token.text}'.", severity=15)
        parts = [token.text]
        while self.take_sign("."):
            parts.append("" if self.peek().is_sign(".") else self.name())
        if self.peek().is_sign("("):
            return self._call(parts[-1])
        if len(parts) == 1 and token.kind == "word" and token.text.upper() in _CALLED_WITHOUT_BRACKETS:
            return Call(token.text.upper(), ())
        return Name(tuple(parts))

    def _call(self, name: str) -> Expression:
        name = name.upper()
        is_distinct = False
        arguments: tuple[Expression, ...]
        if self.peek(1).is_word("DISTINCT"):
            self.need_sign("(")
            self.next()
            arguments, is_distinct = self.values(), True
            self.need_sign(")")
        elif self.peek(1).is_sign("*"):
            self.need_sign("(")
            self.next()
            self.need_sign(")")
            arguments = (Star(),)
        elif name == "IIF":
            self.need_sign("(")
            when = self.condition()
            self.need_sign(",")
            then = self.value()
            self.need_sign(",")
            otherwise = self.value()
            self.need_sign(")")
            return Case(None, ((when, then),), otherwise)
        else:
            arguments = self.arguments()
        over = None
        if self.take_word("WITHIN"):
            raise NotSimulatedError("WITHIN GROUP")
        if self.take_word("OVER"):
            self.need_sign("(")
            partition = self.values() if self.take_words("PARTITION", "BY") else ()
            order = self.order_by() if self.take_words("ORDER", "BY") else ()
            if not self.peek().is_sign(")"):
                raise NotSimulatedError(f"OVER (… {self.peek().text})")
            self.next()
            over = Window(partition, order)
        return Call(name, arguments, is_distinct, over)


def _number(text: str) -> Literal:
    if "e" in text.lower():
        return Literal(float(text), FLOAT)
    if "." not in text:
        value = int(text)
        if value < 2**31:
            return Literal(value, INT)
        return Literal(value, BIGINT) if value < 2**63 else Literal(float(value), decimal_type(len(text), 0))
    exact = Decimal(text)
    whole, _, fraction = text.partition(".")
    return Literal(float(exact), decimal_type(max(1, len(whole.lstrip("0")) + len(fraction)), len(fraction)))
