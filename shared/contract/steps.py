"""What the steps of a contract do to a column of text, registered Python transforms among them.

Pure, as far as the transforms handed in are. A transform runs once for each distinct value of a column. Where it fails,
the value becomes null here, and `transform_fails` says so; what becomes of the record is for the normaliser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import polars as pl

from shared.contract.spelling import proper_name, unescaped
from shared.contract.words import NamedStep, PythonStep, Step

Transform: TypeAlias = Callable[[str], str | None]
Transforms: TypeAlias = Mapping[str, Transform]

NO_TRANSFORMS: Transforms = {}


def stepped(text: pl.Expr, steps: Sequence[Step], transforms: Transforms = NO_TRANSFORMS) -> pl.Expr:
    """The text after all steps, left to right. It may end up empty; null stays null, and a failed transform gives null.

    `KeyError` for a transform that is not among those given.
    """
    for step in steps:
        if isinstance(step, PythonStep):
            transform = transforms[step.python]
            text = text.map_batches(partial(_transformed, transform), return_dtype=pl.String, is_elementwise=True)
        else:
            text = _STEPS[step](text)
    return text


def step_by_step(
    texts: pl.LazyFrame, column: str, steps: Sequence[Step], transforms: Transforms = NO_TRANSFORMS
) -> pl.LazyFrame:
    """The frame with the column after all steps, like `stepped`.

    Each step stands in a projection of its own: several steps look at their text more than once, and within one
    expression the text would be worked out each time.
    """
    for step in steps:
        texts = texts.with_columns(stepped(pl.col(column), (step,), transforms).alias(column))
    return texts


def transform_fails(text: pl.Expr, steps: Sequence[Step], transforms: Transforms = NO_TRANSFORMS) -> pl.Expr | None:
    """Whether one of the transforms among the steps fails, never null; None when there is no transform among them."""
    failing = [
        stepped(text, steps[:place], transforms).map_batches(
            partial(_failing, transforms[step.python]), return_dtype=pl.Boolean, is_elementwise=True
        )
        for place, step in enumerate(steps)
        if isinstance(step, PythonStep)
    ]
    return pl.any_horizontal(failing) if failing else None


def has_transform(steps: Sequence[Step]) -> bool:
    """Whether one of the steps is a registered transform."""
    return any(isinstance(step, PythonStep) for step in steps)


def once(transforms: Transforms) -> Transforms:
    """The transforms, each remembering what it made of a text.

    Made anew for each batch, whose distinct values bound what is remembered.
    """
    return {name: _Once(transform) for name, transform in transforms.items()}


class _Once:
    """A transform that is called at most once for each text."""

    def __init__(self, transform: Transform) -> None:
        self._transform = transform
        self._made: dict[str, str | Exception | None] = {}

    def __call__(self, text: str) -> str | None:
        if text not in self._made:
            self._made[text] = _outcome(self._transform, text)
        made = self._made[text]
        if isinstance(made, Exception):
            raise made
        return made


def _outcome(transform: Transform, text: str) -> str | Exception | None:
    """What the transform makes of the text; an exception, without what it says, when it fails."""
    try:
        made: object = transform(text)
    except Exception:  # noqa: BLE001 -- reviewed code of others: whatever it raises concerns this value only
        return ValueError("the transform failed")  # its own message may hold the value
    if made is None or isinstance(made, str):
        return made
    return ValueError("the transform gave neither text nor nothing")


def _transformed(transform: Transform, texts: pl.Series) -> pl.Series:
    def give(text: str) -> str | None:
        made = _outcome(transform, text)
        return None if isinstance(made, Exception) else made

    return _by_distinct(texts, give, pl.String())


def _failing(transform: Transform, texts: pl.Series) -> pl.Series:
    marks = _by_distinct(texts, lambda text: isinstance(_outcome(transform, text), Exception), pl.Boolean())
    return marks.fill_null(value=False)


def _by_distinct(texts: pl.Series, give: Callable[[str], str | bool | None], kind: pl.DataType) -> pl.Series:
    """What `give` makes of each text, asked once for each distinct one; null for null."""
    distinct = texts.drop_nulls().unique()
    made = pl.Series([give(text) for text in distinct], dtype=kind)
    return texts.replace_strict(distinct, made, default=None, return_dtype=kind)


def _rewritten(texts: pl.Series, *, rewrite: Callable[[str], str]) -> pl.Series:
    return _by_distinct(texts, rewrite, pl.String())


def _nfc(text: pl.Expr) -> pl.Expr:
    # ASCII is in normal form already, and normalising it is the dearest of all steps.
    return pl.when(text.str.len_bytes() != text.str.len_chars()).then(text.str.normalize("NFC")).otherwise(text)


def _strip_country_code(text: pl.Expr) -> pl.Expr:
    # North America only: eleven digits that begin with 1. Every other number is left for the format to judge.
    return pl.when(text.str.contains("^1[0-9]{10}$")).then(text.str.slice(1)).otherwise(text)


def _unescape_html(text: pl.Expr) -> pl.Expr:
    def in_marked(texts: pl.Series) -> pl.Series:
        marked = texts.filter(texts.str.contains("&", literal=True)).unique()
        return texts.replace(marked, _rewritten(marked, rewrite=unescaped)) if marked.len() else texts

    return text.map_batches(in_marked, return_dtype=pl.String, is_elementwise=True)


_STEPS: Mapping[NamedStep, Callable[[pl.Expr], pl.Expr]] = {
    "trim": lambda text: text.str.strip_chars(),
    # Runs, and single signs that are no blank: what is a single blank already needs no writing.
    "collapse_whitespace": lambda text: text.str.replace_all(r"\s{2,}|[^\S ]", " "),
    "nfc": _nfc,
    "lower": lambda text: text.str.to_lowercase(),
    "upper": lambda text: text.str.to_uppercase(),
    "digits": lambda text: text.str.replace_all("[^0-9]+", ""),
    "strip_country_code": _strip_country_code,
    "unescape_html": _unescape_html,
    "proper_name": lambda text: text.map_batches(
        partial(_rewritten, rewrite=proper_name), return_dtype=pl.String, is_elementwise=True
    ),
}
