"""Every part of a definition with its place, found by walking the model instead of naming its clauses.

Pure. What looks for something anywhere in a definition (a step, a table, a change) walks here, so that a clause that is
added to the language later cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.contract.field import FieldContract
from shared.contract.positions import Path
from shared.contract.words import Condition, Document, PythonStep, QualifiedCondition


def parts(value: object, path: Path = ()) -> Iterator[tuple[Path, Document]]:
    """Every document inside a value, itself included, in the model's order; paths as the definition writes them."""
    match value:
        case Document():
            yield path, value
            for name, described in type(value).model_fields.items():
                yield from parts(getattr(value, name), (*path, described.alias or name))
        case Mapping():
            for name, part in value.items():
                yield from parts(part, (*path, name))
        case tuple():
            for place, part in enumerate(value):
                yield from parts(part, (*path, place))
        case _:
            return


def transforms_named(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every registered transform that a step names."""
    for place, part in parts(value, path):
        if isinstance(part, PythonStep):
            yield (*place, "python"), part.python


def tables_named(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every mapping table that a field or a condition names."""
    for place, part in parts(value, path):
        if isinstance(part, FieldContract) and part.map is not None:
            yield (*place, "map"), part.map
        elif isinstance(part, Condition | QualifiedCondition) and part.in_table is not None:
            yield (*place, "in_table"), part.in_table
