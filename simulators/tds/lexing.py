"""Takes a batch of T-SQL apart into tokens, and describes its shape without any value in it. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

from simulators.tds.errors import SqlServerError, syntax_error

BATCH_CHARACTERS_MAX: Final = 1_000_000
TOKENS_MAX: Final = 200_000
_OPERATORS: Final = ("<>", "!=", "<=", ">=", "!<", "!>", "||", "::")
_SIGNS: Final = frozenset("=<>+-*/%&|^~(),.;:")

Kind = Literal["word", "quoted", "string", "nstring", "number", "binary", "variable", "sign", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is a word as written, a name without its quotes, or the characters of a string."""

    kind: Kind
    text: str

    def is_word(self, *words: str) -> bool:
        """Whether this is one of these words, in any case; a quoted name never is."""
        return self.kind == "word" and self.text.upper() in words

    def is_sign(self, *signs: str) -> bool:
        """Whether this is one of these signs."""
        return self.kind == "sign" and self.text in signs


def tokens_of(sql: str) -> list[Token]:
    """Take a batch apart; the last token is the end. Comments are left out."""
    if len(sql) > BATCH_CHARACTERS_MAX:
        raise SqlServerError(8631, f"A batch of {len(sql)} characters; at most {BATCH_CHARACTERS_MAX} are read.")
    tokens: list[Token] = []
    at = 0
    while at < len(sql):
        if len(tokens) == TOKENS_MAX:
            raise SqlServerError(191, "Some part of your SQL statement is nested too deeply.", severity=15)
        token, at = _next(sql, at)
        if token is not None:
            tokens.append(token)
    tokens.append(Token("end", ""))
    return tokens


def shape_of(sql: str, *, characters_max: int = 2_000) -> str:
    """Describe a batch with every value replaced by `?`; for journals, which hold no data."""
    try:
        tokens = tokens_of(sql[:BATCH_CHARACTERS_MAX])
    except SqlServerError:
        return "(no SQL)"
    parts = []
    for token in tokens[:-1]:
        match token.kind:
            case "string" | "nstring" | "number" | "binary":
                parts.append("?")
            case "quoted":
                parts.append(f"[{token.text}]")
            case _:
                parts.append(token.text)
    text = " ".join(parts).replace(" . ", ".").replace(" ,", ",").replace("( ", "(").replace(" )", ")")
    return text[:characters_max]


def _next(sql: str, at: int) -> tuple[Token | None, int]:  # noqa: PLR0911 - one way out for each kind
    char = sql[at]
    if char.isspace() or char in "\ufeff\0":
        return None, at + 1
    if sql.startswith("--", at):
        end = sql.find("\n", at)
        return None, len(sql) if end < 0 else end
    if sql.startswith("/*", at):
        return None, _after_comment(sql, at)
    if char == "'":
        return _quoted(sql, at, kind="string", closing="'")
    if char in "nN" and sql[at + 1 : at + 2] == "'":
        return _quoted(sql, at + 1, kind="nstring", closing="'")
    if char in '"[':
        return _quoted(sql, at, kind="quoted", closing="]" if char == "[" else char)
    if char.isdigit() or (char == "." and sql[at + 1 : at + 2].isdigit()):
        return _number(sql, at)
    if char.isalpha() or char in "_#@$":
        end = at + 1
        while end < len(sql) and (sql[end].isalnum() or sql[end] in "_#@$"):
            end += 1
        return Token("variable" if char == "@" else "word", sql[at:end]), end
    if sql[at : at + 2] in _OPERATORS:
        return Token("sign", sql[at : at + 2]), at + 2
    if char in _SIGNS:
        return Token("sign", char), at + 1
    raise syntax_error(char)


def _after_comment(sql: str, at: int) -> int:
    depth = 0
    while at < len(sql):
        if sql.startswith("/*", at):
            depth, at = depth + 1, at + 2
        elif sql.startswith("*/", at):
            depth, at = depth - 1, at + 2
            if depth == 0:
                return at
        else:
            at += 1
    raise SqlServerError(113, "Missing end comment mark '*/'.", severity=15)


def _quoted(sql: str, at: int, *, kind: Kind, closing: str) -> tuple[Token, int]:
    parts: list[str] = []
    start = at + 1
    while (end := sql.find(closing, start)) >= 0:
        parts.append(sql[start:end])
        if sql[end + 1 : end + 2] != closing:
            return Token(kind, closing.join(parts)), end + 1
        start = end + 2
    raise SqlServerError(
        105, f"Unclosed quotation mark after the character string '{sql[at + 1 : at + 20]}'.", severity=15
    )


def _number(sql: str, at: int) -> tuple[Token, int]:
    end = at
    if sql[at : at + 2].lower() == "0x":
        end = at + 2
        while end < len(sql) and sql[end] in "0123456789abcdefABCDEF":
            end += 1
        return Token("binary", sql[at + 2 : end]), end
    while end < len(sql) and (sql[end].isdigit() or sql[end] == "."):
        end += 1
    if sql[end : end + 1] in {"e", "E"}:
        after = end + 2 if sql[end + 1 : end + 2] in {"+", "-"} else end + 1
        while after < len(sql) and sql[after].isdigit():
            after += 1
        end = after
    text = sql[at:end]
    if text.count(".") > 1:
        raise syntax_error(text)
    return Token("number", text), end
