"""A connector's contract in words: what is read, what becomes of each field, what is removed, what the guard allows.

Pure. It says what the definition says and adds nothing; the model of the language is `shared.contract.model`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from shared.contract.field import Case, Concat, DefaultValue, FieldContract, TextPart
from shared.contract.model import ConnectorDefinition, EntityContract, Join, Removal
from shared.contract.words import Condition, PythonStep, QualifiedCondition, Step
from shared.policy.connector_policy import policy_of
from shared.policy.limits import LIMIT_NAMES, limit_named

VALUES_NAMED_MAX: Final = 12
"""Values of a condition or an enum that one sentence names."""

_STEPS: Final = {
    "trim": "white space around removed",
    "collapse_whitespace": "white space collapsed",
    "nfc": "Unicode form C",
    "lower": "small letters",
    "upper": "capital letters",
    "digits": "digits only",
    "strip_country_code": "country code 1 removed",
    "unescape_html": "HTML signs decoded",
    "proper_name": "written as a name",
}
_DRIFT: Final = {
    "freeze": "a change of its shape blocks the run",
    "evolve": "a change of its shape is followed",
    "discard_value": "a change of its shape leaves the field alone",
    "discard_row": "a change of its shape quarantines the record",
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FieldWords(_Model):
    """One field of a contract."""

    name: str
    origin: str
    """Where the value comes from."""
    becomes: tuple[str, ...]
    """What is done with it, in order."""
    rules: tuple[str, ...]
    """What must be true of it, and what follows when it is not."""
    is_required: bool
    personal: str
    """Which kind of personal data; `none` for none."""
    table: str | None
    """The mapping table that it goes through."""


class EntityWords(_Model):
    """One entity of the target."""

    name: str
    key: str
    sentences: tuple[str, ...]
    """How its records come about."""
    fields: tuple[FieldWords, ...]
    removal: tuple[str, ...]
    """What becomes of a record that is desired no longer."""
    protected: int
    """Rules by which records are never changed."""


class LimitWords(_Model):
    """One limit of the guard."""

    name: str
    text: str
    is_own: bool
    """Whether the connector sets it; otherwise it is the house's."""


def entity_words(name: str, contract: EntityContract, *, protected: int) -> EntityWords:
    """One entity's contract."""
    return EntityWords(
        name=name,
        key=contract.key,
        sentences=tuple(_entity_sentences(contract)),
        fields=tuple(field_words(field, clause) for field, clause in contract.fields.items()),
        removal=removal_words(contract.removal, is_membership=contract.membership is not None),
        protected=protected,
    )


def field_words(name: str, clause: FieldContract) -> FieldWords:
    """One field's clause."""
    return FieldWords(
        name=name,
        origin=_origin(clause),
        becomes=tuple(_becomes(clause)),
        rules=tuple(_rules(clause)),
        is_required=clause.required,
        personal=clause.pii,
        table=clause.map,
    )


def removal_words(removal: Removal, *, is_membership: bool) -> tuple[str, ...]:
    """The removal ladder of one entity, rung by rung."""
    if removal.ladder == "preserve":
        return ("Nothing is ever removed: a record that is desired no longer stays as it is.",)
    times = "one certified read" if removal.strikes == 1 else f"{removal.strikes} certified reads"
    apart = "" if removal.strikes == 1 else f", at least {removal.strike_hours} h apart"
    missed = f"A record counts as gone when {times}{apart} did not find it; seeing it again starts anew."
    if is_membership:
        return (missed, "Then the membership is taken away.")
    values = ", ".join(f"{name} = {_scalar(value)}" for name, value in removal.suspended.items())
    suspended = f"Then it is suspended: {values}."
    if removal.ladder == "suspend":
        return (missed, suspended, "It is never deleted.")
    return (missed, suspended, f"It is deleted once it has been suspended for {removal.delete_after_days} days.")


def limit_words(definition: ConnectorDefinition) -> tuple[LimitWords, ...]:
    """Every limit of the guard that holds for a connector, in the order of the verdict's lines."""
    policy = policy_of(definition)
    return tuple(
        LimitWords(name=name, text=limit_named(name, policy).in_words(), is_own=name in definition.guard)
        for name in LIMIT_NAMES
    )


# --- how an entity comes about --------------------------------------------------------------------------------------


def _entity_sentences(contract: EntityContract) -> Iterable[str]:
    origin = contract.origin
    conditions = f" where {_all_of(origin.where)}" if origin.where else ""
    if origin.pick is None:
        yield f"Every row of {origin.source}{conditions} is a record."
    else:
        order = ", then ".join(
            f"{one.column} {'down' if one.direction == 'desc' else 'up'}" for one in origin.pick.order
        )
        yield (
            f"The rows of {origin.source}{conditions} with the same {origin.pick.by.column} are one record; "
            f"the first by {order} stands for it."
        )
    for join in contract.joins:
        yield _join(join)
    if contract.scope:
        yield f"Only records count for which {_all_of(contract.scope)}."
    yield f"The key is {contract.key}" + (
        f"; a record of the target without a link is recognised by {', then '.join(contract.correlate)}."
        if contract.correlate
        else "."
    )
    if contract.membership is not None:
        yield f"Each record is the membership of {contract.membership.member} in {contract.membership.group}."
    if contract.after:
        yield f"Changes come after those of {', '.join(contract.after)}; removals before them."
    if contract.cohort:
        yield f"The guard looks at each {' and '.join(contract.cohort)} by itself as well."
    if contract.read_back == "always":
        yield "Every write is read back before it counts as applied."


def _join(join: Join) -> str:
    conditions = f" where {_all_of(join.where)}" if join.where else ""
    order = ", then ".join(f"{one.column} {'down' if one.direction == 'desc' else 'up'}" for one in join.order)
    return (
        f"Beside it stands the first row of {join.source}{conditions} whose {join.on.right.column} equals "
        f"{join.on.left.column}, by {order}; a record without one stays."
    )


def _all_of(conditions: Sequence[Condition | QualifiedCondition]) -> str:
    return " and ".join(_condition(one) for one in conditions)


def _condition(one: Condition | QualifiedCondition) -> str:  # noqa: PLR0911 - one line a comparison of the language
    column = one.column
    if one.is_in is not None:
        return f"{column} is {_one_of(one.is_in)}"
    if one.not_in is not None:
        return f"{column} is not {_one_of(one.not_in)}"
    if one.starts_with is not None:
        return f"{column} begins with {_one_of(one.starts_with)}"
    if one.matches is not None:
        return f"{column} has the form {one.matches}"
    if one.in_table is not None:
        return f"{column} stands in the table {one.in_table}"
    if one.is_blank is not None:
        return f"{column} is blank"
    if one.is_not_blank is not None:
        return f"{column} is not blank"
    return f"{column} is {_scalar(one.equals)}"


# --- one field ------------------------------------------------------------------------------------------------------


def _origin(clause: FieldContract | Case) -> str:
    if clause.sources is not None:
        return ", else ".join(clause.sources)
    if clause.constant is not None:
        return f"always {_scalar(clause.constant)}"
    if clause.concat is not None:
        return _concat(clause.concat)
    if isinstance(clause, FieldContract) and clause.cases is not None:
        return "; ".join(_case(one) for one in clause.cases)
    return "nothing"


def _case(one: Case) -> str:
    return f"{_origin(one)} when {_all_of(one.when)}" if one.when else f"otherwise {_origin(one)}"


def _concat(concat: Concat) -> str:
    parts = (f"“{part.text}”" if isinstance(part, TextPart) else part.column for part in concat.parts)
    return " + ".join(parts) + (f", with “{concat.separator}” between" if concat.separator.strip() else "")


def _becomes(clause: FieldContract) -> Iterable[str]:
    for step in clause.steps:
        yield _step(step)
    if clause.map is not None:
        yield f"looked up in the table {clause.map}"
    if clause.lookup is not None:
        yield f"{clause.lookup.take} of the target's {clause.lookup.entity} with that {clause.lookup.by}"
    match clause.format:
        case "text":
            pass
        case "enum":
            yield f"one of {_one_of(clause.values or ())}"
        case "date":
            yield f"a date ({', '.join(clause.date_formats)})"
        case _:
            yield f"a sound {clause.format}"


def _step(step: Step) -> str:
    return f"the transform {step.python}" if isinstance(step, PythonStep) else _STEPS[step]


def _rules(clause: FieldContract) -> Iterable[str]:
    if clause.map is not None or clause.lookup is not None:
        match clause.unmapped:
            case DefaultValue(default=default):
                yield f"an unknown id becomes “{default}” and is counted"
            case "block":
                yield "an unknown id blocks the run"
            case "reject":
                yield "an unknown id quarantines the record"
    said = (
        (clause.required, "required: without it the record is quarantined"),
        (clause.on_invalid == "discard_value", "a value of the wrong form is left out"),
        (not clause.managed, "set at creation only"),
        (clause.protected, "never changed once the record exists"),
        (clause.clear, "no value in the source empties the target's"),
        (clause.is_role, "a change of it is a change of role"),
        (clause.is_rename, "a change of it is a rename"),
        (clause.privileged is not None, f"gives power: {_one_of(clause.privileged or ())}"),
        (clause.drift != "freeze", _DRIFT[clause.drift]),
    )
    yield from (text for holds, text in said if holds)


def _one_of(values: Sequence[object]) -> str:
    shown = ", ".join(_scalar(value) for value in values[:VALUES_NAMED_MAX])
    more = len(values) - VALUES_NAMED_MAX
    return f"{shown} or {more} more" if more > 0 else shown.replace(", ", " or ") if len(values) == 2 else shown


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
