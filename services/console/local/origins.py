"""Where the columns of the local tables come from, and which of them hold personal data.

Pure. Both follow from the connectors that write to the local system: their contracts name the source column of each
field and say what kind of personal data it is. A column that no contract describes counts as personal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict

from shared.contract.connector import Connector
from shared.contract.field import Case, Concat, FieldContract, TextPart
from shared.contract.model import ConnectorDefinition
from shared.contract.words import PythonStep, QualifiedCondition, Step

LOCAL: Final = "local"
"""The system whose tables these are."""
FRAME: Final = frozenset({"row_id", "written_by", "written_at", "active", "source_system"})
"""Columns of every table that say nothing of a person."""
VALUES_NAMED_MAX: Final = 5
"""Of a condition's values, in words."""

_STEPS: Final[Mapping[str, str]] = {
    "trim": "white space around it taken away",
    "collapse_whitespace": "runs of white space made one blank",
    "nfc": "letters in Unicode normal form C",
    "lower": "in small letters",
    "upper": "in capitals",
    "digits": "digits only",
    "strip_country_code": "without the country code 1",
    "unescape_html": "HTML references made characters",
    "proper_name": "capitals as in a name",
}


class Origin(BaseModel):
    """What one connector says of one column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connector: str
    version: str
    """Of the contract."""
    lifecycle: str
    sources: tuple[str, ...]
    """Systems and entities that the value is read from; none for a constant."""
    origin: str
    """From which columns, in words."""
    steps: tuple[str, ...]
    """What becomes of it, in words and in order."""
    personal: str
    """The kind of personal data as the contract has it, or `none`."""


Origins = Mapping[tuple[str, str], tuple[Origin, ...]]
"""By table and column."""


def origins_of(connectors: Iterable[Connector]) -> Origins:
    """What all connectors that write to the local system say, in the order of their names."""
    found: dict[tuple[str, str], tuple[Origin, ...]] = {}
    for connector in sorted(connectors, key=lambda each: each.definition.name):
        definition = connector.definition
        if definition.target.system != LOCAL:
            continue
        for entity, contract in definition.entities.items():
            for name, field in contract.fields.items():
                found[entity, name] = (*found.get((entity, name), ()), _origin(definition, field))
    return found


def personal_columns(table: str, columns: Collection[str], *, key: str, origins: Origins) -> frozenset[str]:
    """The columns that are shown masked: what a contract calls personal, and what none describes.

    The key is how people name the record, here as in plans; it is shown, or no row could be told from another.
    """
    return frozenset(
        name
        for name in columns
        if name not in FRAME and name != key and not _is_harmless(origins.get((table, name), ()))
    )


def _is_harmless(said: Collection[Origin]) -> bool:
    return bool(said) and all(origin.personal == "none" for origin in said)


def masked(text: str) -> str:
    """First sign and length of a value; of a value of one sign the length alone."""
    return f"{text[:1] if len(text) > 1 else ''}…({len(text)})"


def is_personal_key(key: str) -> bool:
    """Whether a key is no id but something that names a person, such as a mail address."""
    return "@" in key


def _origin(definition: ConnectorDefinition, field: FieldContract) -> Origin:
    used = _aliases(field)
    return Origin(
        connector=definition.name,
        version=definition.version,
        lifecycle=definition.lifecycle,
        sources=tuple(
            f"{definition.sources[alias].system} · {definition.sources[alias].entity}"
            for alias in used
            if alias in definition.sources
        ),
        origin=_words_of(field),
        steps=tuple(_further(field)),
        personal=field.pii,
    )


def _aliases(field: FieldContract) -> tuple[str, ...]:
    """The aliases of the sources that the value may be read from, in order, each once."""
    origins: list[FieldContract | Case] = [field, *(field.cases or ())]
    columns = [
        column
        for each in origins
        for column in (*(each.sources or ()), *(_columns(each.concat) if each.concat is not None else ()))
    ]
    return tuple(dict.fromkeys(column.partition(".")[0] for column in columns))


def _columns(concat: Concat) -> tuple[str, ...]:
    return tuple(part.column for part in concat.parts if not isinstance(part, TextPart))


def _words_of(said: FieldContract | Case) -> str:
    if said.sources is not None:
        first, *others = said.sources
        return first if not others else f"{first}, or when that is blank {', then '.join(others)}"
    if said.constant is not None:
        return f"always {_value(said.constant)}"
    if said.concat is not None:
        parts = [f"“{part.text}”" if isinstance(part, TextPart) else part.column for part in said.concat.parts]
        return " and ".join(parts) + " put together"
    if isinstance(said, FieldContract) and said.cases is not None:
        return "; ".join(_case(case) for case in said.cases)
    return "blank"


def _case(case: Case) -> str:
    when = " and ".join(_condition(condition) for condition in case.when)
    return f"when {when}: {_words_of(case)}" if when else f"otherwise: {_words_of(case)}"


def _condition(condition: QualifiedCondition) -> str:
    tests: tuple[tuple[str, Collection[bool | int | str] | None], ...] = (
        ("is", condition.is_in),
        ("is not", condition.not_in),
        ("begins with", condition.starts_with),
        ("is", None if condition.equals is None else (condition.equals,)),
        ("is of the pattern", None if condition.matches is None else (condition.matches,)),
        ("stands in the table", None if condition.in_table is None else (condition.in_table,)),
    )
    for verb, values in tests:
        if values is not None:
            return f"{condition.column} {verb} {_listed(values)}"
    return f"{condition.column} is blank" if condition.is_blank else f"{condition.column} is not blank"


def _listed(values: Collection[bool | int | str]) -> str:
    named = [_value(value) for value in list(values)[:VALUES_NAMED_MAX]]
    more = len(values) - len(named)
    return " or ".join(named) + (f" or one of {more} more" if more > 0 else "")


def _value(value: bool | int | str) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _further(field: FieldContract) -> Iterable[str]:
    yield from (_step(step) for step in field.steps)
    if field.map is not None:
        yield f"turned into the district's code by the table {field.map}"
    if field.lookup is not None:
        yield f"looked up in {field.lookup.entity} by {field.lookup.by}, of which {field.lookup.take} is taken"
    if field.format != "text":
        yield f"must be of the form {field.format}"
    if field.required:
        yield "a record without it is quarantined"
    if field.protected:
        yield "never changed once the row exists"
    elif not field.managed:
        yield "set only when the row is made"


def _step(step: Step) -> str:
    return f"by the transform {step.python}" if isinstance(step, PythonStep) else _STEPS[step]
