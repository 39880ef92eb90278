"""Parses a batch into statements; a mistake anywhere refuses the whole batch, as the server does. Pure.

It reads what clients that only select send. A construct it does not know is refused by its word, never guessed at.
"""

from simulators.tds.errors import NotSimulatedError, syntax_error
from simulators.tds.expressions import ExpressionParser
from simulators.tds.lexing import tokens_of
from simulators.tds.sqltypes import parse_moment
from simulators.tds.syntax import (
    Body,
    Compound,
    Derived,
    Execute,
    Expression,
    If,
    Item,
    Join,
    Print,
    Query,
    Select,
    SetOption,
    Source,
    Star,
    Statement,
    TableName,
    Transaction,
    Use,
    WaitFor,
    Write,
)

STATEMENTS_MAX = 200
_WRITES = {
    "INSERT": "INSERT", "UPDATE": "UPDATE", "DELETE": "DELETE", "MERGE": "UPDATE", "TRUNCATE": "TRUNCATE TABLE",
    "CREATE": "CREATE", "ALTER": "ALTER", "DROP": "DROP", "GRANT": "GRANT", "REVOKE": "REVOKE", "DENY": "DENY",
    "BULK": "BULK INSERT", "BACKUP": "BACKUP", "RESTORE": "RESTORE", "KILL": "KILL", "DBCC": "DBCC",
}  # fmt: skip
_STARTS = frozenset({
    "SELECT", "WITH", "SET", "USE", "BEGIN", "COMMIT", "ROLLBACK", "SAVE", "IF", "WAITFOR", "PRINT", "EXEC", "EXECUTE",
    "DECLARE", *_WRITES,
})  # fmt: skip
_AFTER_SOURCE = frozenset({
    "WHERE", "GROUP", "HAVING", "ORDER", "UNION", "EXCEPT", "INTERSECT", "ON", "INNER", "LEFT", "RIGHT", "FULL",
    "CROSS", "JOIN", "OUTER", "OPTION", "WITH", "OFFSET", "FOR", "ELSE", "END", "FETCH", "PIVOT", "UNPIVOT", *_STARTS,
})  # fmt: skip
_NOT_AN_ALIAS = _AFTER_SOURCE | {"FROM", "INTO", "AS"}


def parse_batch(sql: str) -> list[Statement]:
    """Parse a batch; an empty one has no statements."""
    return _BatchParser(tokens_of(sql)).batch()


class _BatchParser(ExpressionParser):
    """Statements and queries on top of expressions."""

    def batch(self) -> list[Statement]:
        statements: list[Statement] = []
        while not self.at_end():
            if self.take_sign(";"):
                continue
            if len(statements) == STATEMENTS_MAX:
                raise NotSimulatedError(f"a batch of more than {STATEMENTS_MAX} statements")
            statements.append(self._statement())
        return statements

    def _statement(self) -> Statement:  # noqa: PLR0911, PLR0912 - one branch and one way out for each kind
        word = self.peek()
        if word.is_word("SELECT", "WITH") or word.is_sign("("):
            return self.query()
        if word.kind != "word":
            raise syntax_error(word.text)
        match word.text.upper():
            case "SET":
                return self._set()
            case "USE":
                self.next()
                return Use(self.name())
            case "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVE":
                return self._transaction()
            case "IF":
                return self._if()
            case "WAITFOR":
                self.next()
                self.need_word("DELAY")
                moment = parse_moment(self.next().text)
                return WaitFor(moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6)
            case "PRINT":
                self.next()
                return Print(self.value())
            case verb if verb in _WRITES:
                return self._write()
            case "DECLARE":
                raise NotSimulatedError("DECLARE")
            case "EXEC" | "EXECUTE":
                self.next()
                return self._execute()
            case _:
                # The first statement of a batch may name a procedure without EXEC.
                if self.is_first():
                    return self._execute()
                raise syntax_error(word.text)

    def _set(self) -> SetOption:
        self.need_word("SET")
        words: list[str] = []
        while not self.at_end() and not self.peek().is_sign(";"):
            token = self.peek()
            if token.is_word(*_STARTS) and words:
                break
            self.next()
            words.append(token.text.upper() if token.kind == "word" else token.text)
        return SetOption(tuple(words))

    def _transaction(self) -> Transaction:
        verb = self.next().text.upper()
        if verb == "BEGIN" and not self.peek().is_word("TRAN", "TRANSACTION"):
            raise NotSimulatedError("BEGIN … END")
        self.take_word("TRAN", "TRANSACTION", "WORK")
        name = None
        token = self.peek()
        if (token.kind in {"word", "quoted"}) and not token.is_word(*_STARTS, "ELSE", "WITH"):
            name = self.name()
        return Transaction(verb, name)

    def _if(self) -> If:
        self.need_word("IF")
        condition = self.condition()
        then = self._statement()
        self.take_sign(";")
        otherwise = self._statement() if self.take_word("ELSE") else None
        return If(condition, then, otherwise)

    def _write(self) -> Write:
        verb = self.next().text.upper()
        self.take_word("TOP")
        while self.take_word(
            "INTO", "FROM", "TABLE", "INDEX", "VIEW", "UNIQUE", "CLUSTERED", "OR", "ALTER", "IF", "EXISTS"
        ):
            pass
        parts = self.name_parts() if self.peek().kind in {"word", "quoted"} else ("",)
        # The rest need not be understood to be refused; a later statement of the batch goes with it.
        while not self.at_end() and not self.peek().is_sign(";"):
            self.next()
        return Write(_WRITES[verb], parts)

    def _execute(self) -> Execute:
        procedure = ".".join(self.name_parts())
        arguments = []
        while not self.at_end() and not self.peek().is_sign(";") and not self.peek().is_word(*_STARTS):
            name = None
            if self.peek().kind == "variable" and self.peek(1).is_sign("="):
                name = self.next().text
                self.next()
            arguments.append((name, self.value()))
            if not self.take_sign(","):
                break
        return Execute(procedure, tuple(arguments))

    def query(self) -> Query:
        """Read a query with its common table expressions and its order."""
        named: list[tuple[str, tuple[str, ...], Query]] = []
        if self.take_word("WITH"):
            while True:
                name = self.name()
                columns = self._column_names() if self.peek().is_sign("(") else ()
                self.need_word("AS")
                self.need_sign("(")
                named.append((name, columns, self.query()))
                self.need_sign(")")
                if not self.take_sign(","):
                    break
        body = self._body()
        order = self.order_by() if self.take_words("ORDER", "BY") else ()
        offset = fetch = None
        if self.take_word("OFFSET"):
            if not order:
                raise syntax_error("OFFSET")
            offset = self.value()
            self.need_word("ROW", "ROWS")
            if self.take_word("FETCH"):
                self.need_word("FIRST", "NEXT")
                fetch = self.value()
                self.need_word("ROW", "ROWS")
                self.need_word("ONLY")
        if self.peek().is_word("FOR"):
            raise NotSimulatedError(f"FOR {self.peek(1).text}")
        if self.take_word("OPTION"):
            self.skip_brackets()
        return Query(body, order, offset, fetch, tuple(named))

    def _body(self) -> Body:
        body = self._intersected()
        while self.peek().is_word("UNION", "EXCEPT"):
            sign = self.next().text.upper()
            if sign == "UNION" and self.take_word("ALL"):
                sign = "UNION ALL"
            body = Compound(sign, body, self._intersected())
        return body

    def _intersected(self) -> Body:
        body = self._term()
        while self.take_word("INTERSECT"):
            body = Compound("INTERSECT", body, self._term())
        return body

    def _term(self) -> Body:
        if self.take_sign("("):
            body = self._body()
            self.need_sign(")")
            return body
        return self._select()

    def _select(self) -> Select:
        self.need_word("SELECT")
        is_distinct = self.take_word("DISTINCT")
        if not is_distinct:
            self.take_word("ALL")
        top = self._top() if self.take_word("TOP") else None
        items = [self._item()]
        while self.take_sign(","):
            items.append(self._item())
        if self.peek().is_word("INTO"):
            raise NotSimulatedError("SELECT INTO")
        source = self._sources() if self.take_word("FROM") else None
        where = self.condition() if self.take_word("WHERE") else None
        group: tuple[Expression, ...] = ()
        if self.take_words("GROUP", "BY"):
            group = self.values()
        having = self.condition() if self.take_word("HAVING") else None
        return Select(tuple(items), source, where, group, having, is_distinct, top)

    def _top(self) -> Expression:
        if self.take_sign("("):
            top = self.value()
            self.need_sign(")")
        else:
            top = self.operand()
        if self.peek().is_word("PERCENT", "WITH"):
            raise NotSimulatedError(f"TOP … {self.peek().text}")
        return top

    def _item(self) -> Item:
        first = self.peek()
        if first.kind in {"word", "quoted", "string"} and self.peek(1).is_sign("="):
            self.next()
            self.next()
            return Item(self.value(), first.text)
        if first.kind == "variable" and self.peek(1).is_sign("="):
            raise NotSimulatedError("SELECT @variable = …")
        if self.take_sign("*"):
            return Item(Star(), None)
        star = self.qualified_star()
        if star is not None:
            return Item(star, None)
        term = self.value()
        alias = None
        if (
            self.take_word("AS")
            or self.peek().kind in {"quoted", "string"}
            or (self.peek().kind == "word" and not self.peek().is_word(*_NOT_AN_ALIAS))
        ):
            alias = self.alias()
        return Item(term, alias)

    def _sources(self) -> Source:
        source = self._joined()
        while self.take_sign(","):
            source = Join("CROSS", source, self._joined(), None)
        return source

    def _joined(self) -> Source:
        source = self._source()
        while self.peek().is_word("JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "OUTER"):
            kind = "INNER" if self.peek().is_word("JOIN") else self.next().text.upper()
            if kind in {"LEFT", "RIGHT", "FULL"}:
                self.take_word("OUTER")
            if self.peek().is_word("APPLY"):
                raise NotSimulatedError(f"{kind} APPLY")
            self.take_word("HASH", "LOOP", "MERGE", "REMOTE")
            self.need_word("JOIN")
            right = self._joined_right() if kind != "CROSS" else self._source()
            condition = None
            if kind != "CROSS":
                self.need_word("ON")
                condition = self.condition()
            source = Join(kind, source, right, condition)
        return source

    def _joined_right(self) -> Source:
        """The right side of a join; `a JOIN b JOIN c ON … ON …` nests to the right."""
        source = self._source()
        if self.peek().is_word("ON"):
            return source
        inner = self.peek()
        if not inner.is_word("JOIN", "INNER", "LEFT", "RIGHT", "FULL"):
            raise syntax_error(inner.text)
        kind = "INNER" if inner.is_word("JOIN") else self.next().text.upper()
        self.take_word("OUTER")
        self.need_word("JOIN")
        right = self._joined_right()
        self.need_word("ON")
        return Join(kind, source, right, self.condition())

    def _source(self) -> Source:
        if self.take_sign("("):
            if self.peek().is_word("SELECT", "WITH") or self.peek().is_sign("("):
                query = self.query()
                self.need_sign(")")
                self.take_word("AS")
                called = self.name()
                return Derived(query, called, self._column_names() if self.peek().is_sign("(") else ())
            if self.peek().is_word("VALUES"):
                raise NotSimulatedError("VALUES in FROM")
            source = self._sources()
            self.need_sign(")")
            return source
        parts = self.name_parts()
        arguments: tuple[Expression, ...] | None = None
        if self.peek().is_sign("(") and not self.peek(1).is_word("NOLOCK", "READPAST", "UPDLOCK", "HOLDLOCK"):
            arguments = self.arguments()
        alias: str | None = None
        if (
            self.take_word("AS")
            or self.peek().kind == "quoted"
            or (self.peek().kind == "word" and not self.peek().is_word(*_AFTER_SOURCE))
        ):
            alias = self.name()
        if self.peek().is_word("WITH") and self.peek(1).is_sign("("):
            self.next()
            self.skip_brackets()
        elif self.peek().is_sign("(") and self.peek(1).is_word("NOLOCK", "READPAST", "UPDLOCK", "HOLDLOCK"):
            self.skip_brackets()
        return TableName(parts, alias, arguments)

    def _column_names(self) -> tuple[str, ...]:
        self.need_sign("(")
        names = [self.name()]
        while self.take_sign(","):
            names.append(self.name())
        self.need_sign(")")
        return tuple(names)
