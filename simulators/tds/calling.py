"""Remote calls: what sp_executesql, sp_prepare, sp_execute, sp_prepexec and sp_unprepare do with a session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from simulators.tds.errors import SqlServerError
from simulators.tds.lexing import tokens_of
from simulators.tds.messages import Parameter, RemoteCall
from simulators.tds.session import Event, Finished, NoProcedureError, Prepared, Session
from simulators.tds.sqltypes import SqlType, Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing to run, and how it is called in the journal."""

    name: str
    sql: str
    events: Iterator[Event]
    is_procedure: bool


def calls_of(session: Session, calls: Iterable[RemoteCall]) -> Iterator[Call]:
    """Make each remote call of a message ready to run."""
    for call in calls:
        name = call.procedure.rpartition(".")[2].lower()
        try:
            yield _call(session, name, call.parameters)
        except SqlServerError as error:
            # What is wrong with a call is told in its own place, after the calls before it.
            yield Call(name=name, sql="", events=_failed(error), is_procedure=True)


def _call(session: Session, name: str, given: tuple[Parameter, ...]) -> Call:
    events: Iterator[Event]
    match name:
        case "sp_executesql":
            sql, definition = _text(given, 0), _text(given, 1)
            events = session.run(sql, bound(definition, given[2:]))
        case "sp_prepare":
            definition, sql = _text(given, 1), _text(given, 2)
            events = iter((Prepared(session.prepare(definition, sql)),))
        case "sp_prepexec":
            definition, sql = _text(given, 1), _text(given, 2)
            events = _prepared(session, definition, sql, given[3:])
        case "sp_execute":
            definition, sql = session.prepared(_value(given, 0))
            events = session.run(sql, bound(definition, given[1:]))
        case "sp_unprepare":
            sql = ""
            session.unprepare(_value(given, 0))
            events = iter((Finished(),))
        case "sp_reset_connection":
            sql = ""
            session.reset()
            events = iter((Finished(),))
        case "sp_describe_undeclared_parameters":
            # Types are never guessed from a statement here; drivers then declare a parameter as they like.
            raise SqlServerError(11503, "The parameter type cannot be deduced.")
        case _:
            raise NoProcedureError(2812, f"Could not find stored procedure '{name}'.", state=62)
    return Call(name=name, sql=sql, events=events, is_procedure=True)


def bound(definition: str, given: Sequence[Parameter]) -> dict[str, tuple[Stored, SqlType]]:
    """Give each declared parameter its value, by name or by place."""
    declared = _declared(definition)
    values: dict[str, tuple[Stored, SqlType]] = {}
    for number, parameter in enumerate(given):
        if parameter.name:
            name = parameter.name.lower()
        elif number < len(declared):
            name = declared[number]
        else:
            raise SqlServerError(8144, "Procedure or function sp_executesql has too many arguments specified.", state=2)
        values[name if name.startswith("@") else f"@{name}"] = (parameter.value, parameter.kind)
    missing = [name for name in declared if name not in values]
    if missing:
        raise SqlServerError(
            8178, f"The parameterized query expects the parameter '{missing[0]}', which was not supplied."
        )
    return values


def _declared(definition: str) -> list[str]:
    """The names in `@P1 int, @P2 decimal(10,2)`."""
    names = []
    depth = 0
    is_start = True
    for token in tokens_of(definition):
        if is_start and token.kind == "variable":
            names.append(token.text.lower())
        is_start = depth == 0 and token.is_sign(",")
        depth += token.is_sign("(") - token.is_sign(")")
    return names


def _prepared(session: Session, definition: str, sql: str, given: Sequence[Parameter]) -> Iterator[Event]:
    yield Prepared(session.prepare(definition, sql))
    yield from session.run(sql, bound(definition, given))


def _failed(error: SqlServerError) -> Iterator[Event]:
    yield from ()
    raise error


def _value(given: tuple[Parameter, ...], place: int) -> Stored:
    return given[place].value if place < len(given) else None


def _text(given: tuple[Parameter, ...], place: int) -> str:
    value = _value(given, place)
    if value is None and place > 0:
        return ""
    if not isinstance(value, str):
        raise SqlServerError(214, "Procedure expects parameter '@statement' of type 'ntext/nchar/nvarchar'.", state=3)
    return value
