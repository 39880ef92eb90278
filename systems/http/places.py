"""Where a field stands in the other side's JSON. Pure: text and decoded values in, values out.

A place is a name (`email`), names of objects within each other (`name.first`), or one item of a list that is told by
one of its members (`paths[type=email].value`). Reading finds the value there; writing builds whatever is around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

Scalar = str | int | bool | None
Json = object

_NAME = r"[^.\[\]=\s]+"
_PLACE = re.compile(
    rf"(?P<objects>{_NAME}(?:\.{_NAME})*)"
    rf"(?:\[(?P<member>{_NAME})=(?P<equals>\"[^\"\]]*\"|{_NAME})\]\.(?P<value>{_NAME}(?:\.{_NAME})*))?"
)
_WHOLE = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True)
class Pick:
    """Which item of a list is meant, and where the value stands in it."""

    member: str
    equals: Scalar
    value: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A place, read."""

    objects: tuple[str, ...]
    """Names on the way to the value, or to the list."""
    pick: Pick | None = None


def place_of(text: str) -> Place:
    """The place that a text names; `ValueError` for one that names none."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise ValueError("is no place; write name, outer.inner or list[member=value].name")
    objects = tuple(match["objects"].split("."))
    if match["member"] is None:
        return Place(objects)
    return Place(objects, Pick(match["member"], _literal(match["equals"]), tuple(match["value"].split("."))))


def picked(found: Json, pick: Pick) -> Json:
    """The value in the item that is meant, null when there is none; `ValueError` for a list of another shape."""
    if found is None:
        return None
    if not isinstance(found, list):
        raise ValueError("is no list")
    items = [item for item in found if isinstance(item, dict) and _is_same(item.get(pick.member), pick.equals)]
    if len(items) > 1:
        raise ValueError(f"holds {len(items)} items of one {pick.member}")
    value: Json = items[0] if items else None
    for name in pick.value:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ValueError("holds an item of another shape")
        value = value.get(name)
    return value


def put(body: dict[str, JsonValue], place: Place, value: JsonValue, *, item: Mapping[str, JsonValue]) -> None:
    """Set the value at its place, with the objects around it; `item` is what a list's item holds besides.

    Null in a list's item leaves the item out: that is how such a list says that there is none.
    """
    inner = body
    for name in place.objects[:-1]:
        step = inner.setdefault(name, {})
        assert isinstance(step, dict), "a description puts no value where another place has an object"  # noqa: S101 - checked at its loading
        inner = step
    last = place.objects[-1]
    if place.pick is None:
        inner[last] = value
        return
    items = inner.setdefault(last, [])
    assert isinstance(items, list), "a description puts no value where another place has a list"  # noqa: S101 - checked at its loading
    if value is None:
        return
    made = next((one for one in items if isinstance(one, dict) and one[place.pick.member] == place.pick.equals), None)
    if made is None:
        made = {place.pick.member: place.pick.equals, **item}
        items.append(made)
    put(made, Place(place.pick.value), value, item={})


def collision(places: Mapping[str, Place]) -> tuple[str, str] | None:
    """Two names whose places cannot both be written; None when all can."""
    seen: dict[tuple[object, ...], str] = {}
    for name, place in places.items():
        way = _way(place)
        for other, owner in seen.items():
            shorter = min(len(way), len(other))
            if way[:shorter] == other[:shorter]:
                return owner, name
            if any(a != b and isinstance(a, str) != isinstance(b, str) for a, b in _parting(way, other)):
                return owner, name  # one has an object where the other has a list
        seen[way] = name
    return None


def _parting(way: tuple[object, ...], other: tuple[object, ...]) -> list[tuple[object, object]]:
    return [pair for pair in zip(way, other, strict=False) if pair[0] != pair[1]][:1]


def _way(place: Place) -> tuple[object, ...]:
    if place.pick is None:
        return place.objects
    return (*place.objects, (place.pick.member, place.pick.equals), *place.pick.value)


def _literal(text: str) -> Scalar:
    if text.startswith('"'):
        return text[1:-1]
    if _WHOLE.fullmatch(text):
        return int(text)
    return {"true": True, "false": False, "null": None}.get(text, text)


def _is_same(found: Json, wanted: Scalar) -> bool:
    return type(found) is type(wanted) and found == wanted
