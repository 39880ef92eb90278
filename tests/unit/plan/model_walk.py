"""A document in which every field is filled, and the same with one place altered: for tests that forget no field.

It walks the types, so that a field which is added tomorrow is walked too. Nothing is validated: only the form counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel

Place = tuple[str, ...]
"""Names of fields from the outermost in; `*` is the one item of a list or mapping, `[]` how many there are."""
ModelT = TypeVar("ModelT", bound=BaseModel)


def places_of(model: type[BaseModel]) -> list[Place]:
    """Every place that `built` can alter."""
    return list(_places(model))


def built(model: type[ModelT], *, altered: Place | None = None) -> ModelT:
    """The document, with another value at the place."""
    made = _value(model, altered)
    assert isinstance(made, model)
    return made


def _places(kind: Any) -> Iterator[Place]:
    kind = _bare(kind)
    if get_origin(kind) in (tuple, dict):
        yield ("[]",)
        yield from (("*", *inner) for inner in _places(_item(kind)))
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from ((name, *inner) for inner in _places(field.annotation))
    elif len(_scalars(kind)) > 1:
        yield ()


def _value(kind: Any, altered: Place | None) -> Any:
    kind = _bare(kind)
    if get_origin(kind) in (tuple, dict):
        is_dict = get_origin(kind) is dict
        if altered == ("[]",):
            return {} if is_dict else ()
        item = _value(_item(kind), altered[1:] if altered else None)
        return {"name": item} if is_dict else (item,)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        values = {
            name: _value(field.annotation, altered[1:] if altered and altered[0] == name else None)
            for name, field in kind.model_fields.items()
        }
        return kind.model_construct(**values)
    return _scalars(kind)[0 if altered is None else 1]


def _bare(kind: Any) -> Any:
    """The type without what is said about it, and without its None."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        return _bare(next(one for one in get_args(kind) if one is not NoneType))
    return kind


def _item(kind: Any) -> Any:
    return get_args(kind)[1 if get_origin(kind) is dict else 0]


def _scalars(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(kind)
    values: dict[Any, tuple[Any, ...]] = {
        str: ("one", "other"),
        bool: (False, True),
        int: (1, 2),
        float: (1.5, 2.5),
    }
    return values[kind]
