"""One field of a contract over a whole column: its value, and what is wrong with it.

Pure. It carries out `steps`, `map`, `lookup`, `format`, `on_invalid`, `required` and the drift policy for values on the
text that the field's origin gives, and brings the target's values into the same spelling. What becomes of a record with
a fault is decided in `services.extractor.normalise`.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from services.extractor.distinct import TEXT
from services.extractor.drift import DriftNote, code_of
from services.extractor.rules import Answers, Rules
from shared.contract.columnar import (
    Transforms,
    blank_to_null,
    formatted,
    has_transform,
    step_by_step,
    stepped,
    transform_fails,
    value_type,
)
from shared.contract.field import DefaultValue, FieldContract
from shared.contract.words import Steps

VALUE = "value"
"""The canonical value."""
FAULT = "fault"
"""The code of what is wrong, null when nothing is."""
LOST = "lost"
"""The code of why a value was dropped and the field is left alone, null when it was not."""
UNMAPPED = "unmapped"
"""The id, after the steps, that the table or the lookup does not answer."""
UNKNOWN = "unknown"
"""The value that the enum does not list."""
ORIGIN_FAILS = "origin fails"
"""Beside `TEXT`: whether a transform failed before the field's own steps."""


@dataclass(frozen=True)
class Clause:
    """One field with what its judgement depends on."""

    name: str
    field: FieldContract
    is_key: bool
    drifted: DriftNote | None = None
    """Why no value can be trusted, when the shape of the source has changed under the field."""


def judging(texts: pl.LazyFrame, clause: Clause, rules: Rules, *, origin_fails: bool = False) -> pl.LazyFrame:
    """The value of each text, and what is wrong with it; of the other columns only those that can hold anything."""
    field = clause.field
    if clause.drifted is not None:
        return texts.select(**_drifted(clause, clause.drifted))
    texts = texts.with_columns(blank_to_null(pl.col(TEXT)).alias("stepped"))
    fails = transform_fails(pl.col("stepped"), field.steps, rules.transforms)
    if origin_fails:
        # What was put together without a part of it is no text.
        texts = texts.with_columns(pl.when(~pl.col(ORIGIN_FAILS)).then(pl.col("stepped")).alias("stepped"))
        fails = pl.col(ORIGIN_FAILS) if fails is None else fails | pl.col(ORIGIN_FAILS)
    texts = texts.select("stepped", **({} if fails is None else {"fails": fails}))
    texts = step_by_step(texts, "stepped", field.steps, rules.transforms)
    found = _Found(fails=None if fails is None else pl.col("fails"))
    answers = rules.answers(field)
    if answers is not None:
        texts = texts.with_columns(_answered(pl.col("stepped"), answers).alias("answer"))
        texts = texts.with_columns(_given(field, answers).alias("given"))
        found.unmapped = pl.when(pl.col("stepped").is_not_null() & pl.col("answer").is_null()).then(pl.col("stepped"))
        found.unsure = pl.col("stepped").is_in(answers.unsure.implode()) if answers.unsure.len() else None
    else:
        texts = texts.with_columns(pl.col("stepped").alias("given"))
    given = pl.col("given")
    shaped = formatted(given, field.format, values=field.values or (), date_formats=field.date_formats)
    texts = texts.with_columns(shaped.alias("shaped"))
    is_misshapen = given.is_not_null() & pl.col("shaped").is_null()
    value = pl.col("shaped")
    if field.format == "enum":
        found.unknown = pl.when(is_misshapen).then(given)
        if field.drift == "evolve":
            value = blank_to_null(given)
    elif field.format != "text":
        # Text of which the steps leave nothing is no value; in every other form it is a value of the wrong form.
        found.misshapen = is_misshapen
    texts = texts.with_columns(value.alias(VALUE))
    return texts.select(VALUE, **_columns(clause, found))


@dataclass
class _Found:
    """What can be wrong with a field's values, as conditions over the working columns."""

    fails: pl.Expr | None = None
    misshapen: pl.Expr | None = None
    unsure: pl.Expr | None = None
    unmapped: pl.Expr | None = None
    unknown: pl.Expr | None = None


def _columns(clause: Clause, found: _Found) -> dict[str, pl.Expr]:
    """The columns beside the value, in the order in which one fault hides another."""
    field = clause.field
    faults: list[pl.Expr] = []
    losses: list[pl.Expr] = []
    of_form = losses if field.on_invalid == "discard_value" else faults
    if found.fails is not None:
        of_form.append(pl.when(found.fails).then(pl.lit("NRM_TRANSFORM")))
    if found.misshapen is not None:
        of_form.append(pl.when(found.misshapen).then(pl.lit("NRM_BAD_FORMAT")))
    columns: dict[str, pl.Expr] = {}
    if found.unmapped is not None:
        columns[UNMAPPED] = found.unmapped
        code = pl.lit("NRM_UNMAPPED" if field.lookup is None else "NRM_LOOKUP")
        if not isinstance(field.unmapped, DefaultValue):
            faults.append(pl.when(found.unmapped.is_not_null()).then(code))
        elif found.unsure is not None:
            faults.append(pl.when(found.unsure).then(code))
    if found.unknown is not None:
        columns[UNKNOWN] = found.unknown
        said = pl.when(found.unknown.is_not_null()).then(pl.lit("NRM_UNKNOWN_VALUE"))
        if field.drift == "discard_value":
            losses.append(said)
        elif field.drift != "evolve":
            faults.append(said)  # under `freeze` the run will stop; until then nobody takes the record for sound
    faults += _missing(clause)
    if faults:
        columns[FAULT] = pl.coalesce(*faults)
    if losses:
        columns[LOST] = pl.coalesce(*losses)
    return columns


def _missing(clause: Clause) -> list[pl.Expr]:
    if not (clause.field.required or clause.is_key):
        return []
    code = "NRM_MISSING_KEY" if clause.is_key else "NRM_MISSING_REQUIRED"
    return [pl.when(pl.col(VALUE).is_null()).then(pl.lit(code))]


def _drifted(clause: Clause, note: DriftNote) -> dict[str, pl.Expr]:
    """No value at all: the shape of the source has changed, and the policy leaves the field or the record alone."""
    columns = {VALUE: pl.lit(None, dtype=value_type(clause.field.format)), LOST: pl.lit(None, dtype=pl.String)}
    code: str | None = code_of(note)
    if note.policy == "discard_value":
        columns[LOST] = pl.lit(code)
        code = None
        if clause.field.required or clause.is_key:
            code = "NRM_MISSING_KEY" if clause.is_key else "NRM_MISSING_REQUIRED"
    columns[FAULT] = pl.lit(code, dtype=pl.String)
    return {name: pl.when(pl.col(TEXT).is_null()).then(lit).otherwise(lit) for name, lit in columns.items()}


def _answered(ids: pl.Expr, answers: Answers) -> pl.Expr:
    return ids.replace_strict(answers.ids, answers.values, default=None, return_dtype=pl.String)


def _given(field: FieldContract, answers: Answers) -> pl.Expr:
    """What goes on to the format: the answer, or the default where an id is outside."""
    answer, steps = pl.col("answer"), pl.col("stepped")
    if not isinstance(field.unmapped, DefaultValue):
        return answer
    is_outside = steps.is_not_null() & answer.is_null()
    if answers.unsure.len():
        is_outside &= ~steps.is_in(answers.unsure.implode())
    return pl.when(is_outside).then(pl.lit(field.unmapped.default)).otherwise(answer)


def comparable(text: pl.Expr, field: FieldContract) -> pl.Expr:
    """A target value in the spelling of desired ones; one that has not the field's form only loses white space around.

    Codes that come out of a table, a lookup or a constant take no steps, and no value takes a transform or a step
    before one: what a transform makes of its own result is unknown.
    """
    stripped = text.str.strip_chars()
    is_finished = field.map is not None or field.lookup is not None or field.constant is not None
    spelled = stripped if is_finished else stepped(text, _after_transforms(field.steps), _NO_TRANSFORMS)
    shaped = formatted(spelled, field.format, values=field.values or (), date_formats=field.date_formats)
    return shaped if field.format == "boolean" else pl.coalesce(shaped, stripped)


_NO_TRANSFORMS: Transforms = {}


def _after_transforms(steps: Steps) -> Steps:
    while has_transform(steps):
        steps = steps[1:]
    return steps
