"""Whether an event's schema may stand in the place of the released one; every reason why not, in words.

Readers are closed: they refuse fields and values they do not know, and old and new programs run side by side while a
house is upgraded. So whatever changes the set of documents that a type allows breaks somebody, in one of two ways:

- *narrowed*: the new reader refuses documents that were written before;
- *widened*: a program of the released version refuses documents that are written from now on.

Either needs a new type (`….v2`) beside the old one. What may change in place are words: titles, descriptions, the
order of fields, the names and the nesting of definitions. A keyword that this file does not know counts as a break
when it differs, so that nothing passes unlooked at. Validators written in Python stand in no schema and are not
seen here. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_WORDS = frozenset({"$schema", "$id", "$comment", "$defs", "title", "description", "examples", "deprecated"})
_SMALLEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_LARGEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_STRUCTURE = frozenset(
    {"$ref", "anyOf", "type", "enum", "const", "properties", "required", "additionalProperties", "items", *_SMALLEST,
     *_LARGEST}
)  # fmt: skip
_UNSET: Any = object()

_OLD_DOCUMENTS = "documents written before would be refused by the new reader"
_OLD_READERS = "documents written from now on would be refused by programs of the released version"
_BOTH = f"{_OLD_DOCUMENTS}, and {_OLD_READERS}"


@dataclass(frozen=True, slots=True)
class Break:
    """One way in which a schema is not what was released."""

    event_type: str
    pointer: str
    """JSON pointer into the released schema; of an added field or value, into the present one."""
    what: str

    def __str__(self) -> str:
        return f"{self.event_type} at {self.pointer or '/'}: {self.what}; {remedy(self.event_type)}"


def remedy(event_type: str) -> str:
    """What to do about a break."""
    return f"undo it, or make {next_version(event_type)} and leave {event_type} as it is"


def next_version(event_type: str) -> str:
    """The name of the type's next version; `ValueError` for a name without one."""
    found = re.fullmatch(r"(.+\.v)(\d+)", event_type)
    if found is None:
        raise ValueError(f"event type {event_type!r} does not end in its version, such as .v1")
    return f"{found[1]}{int(found[2]) + 1}"


def breaks(event_type: str, released: Schema, present: Schema) -> list[Break]:
    """Everything in which the present schema allows other documents than the released one."""
    comparison = _Comparison(released, present)
    found = [Break(event_type, pointer, what) for pointer, what in comparison.of(_At(released, ""), _At(present, ""))]
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class _At:
    """A part of a schema and where it stands."""

    schema: Schema
    pointer: str

    def under(self, *names: str | int) -> str:
        escaped = (str(name).replace("~", "~0").replace("/", "~1") for name in names)
        return "/".join((self.pointer, *escaped))

    def get(self, name: str) -> Any:
        return self.schema.get(name, _UNSET)


_Found = Iterator[tuple[str, str]]


class _Comparison:
    """A released schema beside the present one."""

    def __init__(self, released: Schema, present: Schema) -> None:
        self._released, self._present = released, present
        self._seen: set[tuple[str, str]] = set()

    def of(self, old: _At, new: _At) -> _Found:
        yield from _default(old, new)
        old, new = _resolved(old, self._released), _resolved(new, self._present)
        if (old.pointer, new.pointer) in self._seen:  # also what ends a definition that contains itself
            return
        self._seen.add((old.pointer, new.pointer))
        olds, news = self._options(old, self._released), self._options(new, self._present)
        if len(olds) == len(news) == 1:
            yield from self._plain(olds[0], news[0])
            return
        pairs = _paired(olds, news)
        for one, other in pairs:
            yield from self._plain(one, other)
        for one in olds:
            if not any(one is before for before, _ in pairs):
                yield one.pointer, f"the possibility of {_told(one)} is gone: {_OLD_DOCUMENTS}"
        for other in news:
            if not any(other is after for _, after in pairs):
                yield other.pointer, f"{_told(other)} became possible: {_OLD_READERS}"

    def _options(self, at: _At, root: Schema) -> list[_At]:
        """What a value may be: the members of `anyOf`, without those that say the same."""
        members = at.get("anyOf")
        if members is _UNSET:
            return [at]
        options = [_resolved(_At(member, at.under("anyOf", number)), root) for number, member in enumerate(members)]
        return [part for option in options for part in self._options(option, root)]

    def _plain(self, old: _At, new: _At) -> _Found:
        kinds = _types(old), _types(new)
        if kinds[0] != kinds[1]:
            yield old.pointer, f"was {_told(old)} and is {_told(new)}: {_retyping(*kinds)}"
            return
        yield from _values(old, new)
        yield from _bounds(old, new)
        yield from self._fields(old, new)
        yield from self._members(old, new, "items")
        yield from self._members(old, new, "additionalProperties")
        for keyword in sorted((old.schema.keys() | new.schema.keys()) - _WORDS - _STRUCTURE - {"default"}):
            if old.get(keyword) != new.get(keyword):
                yield (
                    old.under(keyword) if keyword in old.schema else new.under(keyword),
                    f"{keyword} was {_text(old.get(keyword))} and is {_text(new.get(keyword))}: {_BOTH}",
                )

    def _fields(self, old: _At, new: _At) -> _Found:
        olds: Schema = old.schema.get("properties", {})
        news: Schema = new.schema.get("properties", {})
        was_required, is_required = (set(at.schema.get("required", ())) for at in (old, new))
        added = [name for name in news if name not in olds]
        for name in (name for name in olds if name not in news):
            twin = next((one for one in added if _same(olds[name], news[one])), None)
            if twin is None:
                yield old.under("properties", name), f"field {name!r} was removed: {_OLD_DOCUMENTS}"
            else:
                added.remove(twin)
                yield old.under("properties", name), f"field {name!r} was renamed to {twin!r}: {_BOTH}"
        for name in added:
            if name in is_required:
                yield new.under("properties", name), f"field {name!r} was added and is required: {_BOTH}"
            else:
                yield new.under("properties", name), f"field {name!r} was added: {_OLD_READERS}"
        for name in (name for name in olds if name in news):
            if name in is_required - was_required:
                yield old.under("properties", name), f"field {name!r} became required: {_OLD_DOCUMENTS}"
            elif name in was_required - is_required:
                yield old.under("properties", name), f"field {name!r} is no longer required: {_OLD_READERS}"
            yield from self.of(
                _At(olds[name], old.under("properties", name)), _At(news[name], new.under("properties", name))
            )

    def _members(self, old: _At, new: _At, keyword: str) -> _Found:
        """What stands under a keyword that holds a schema, or True or False for anything or nothing."""
        before, after = (at.schema.get(keyword, True) for at in (old, new))
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from self.of(_At(before, old.under(keyword)), _At(after, new.under(keyword)))
        elif before != after:
            place = old.under(keyword) if keyword in old.schema else new.under(keyword)
            # False allows nothing, True anything, a schema something.
            is_wider = before is False or after is True
            yield (
                place,
                f"{keyword} was {_text(before)} and is {_text(after)}: {_OLD_READERS if is_wider else _OLD_DOCUMENTS}",
            )


def _paired(olds: list[_At], news: list[_At]) -> list[tuple[_At, _At]]:
    """Members of two choices that answer to each other: of one type, by title where one fits, else in order."""
    pairs: list[tuple[_At, _At]] = []
    left = list(news)
    for by_title in (True, False):
        for old in olds:
            if any(old is before for before, _ in pairs):
                continue
            for new in left:
                is_titled_alike = old.schema.get("title") == new.schema.get("title")
                if _types(old) == _types(new) and (is_titled_alike or not by_title):
                    pairs.append((old, new))
                    left = [other for other in left if other is not new]
                    break
    return pairs


def _resolved(at: _At, root: Schema) -> _At:
    """The definition that a reference names, or what is there."""
    while "$ref" in at.schema:
        pointer = at.schema["$ref"].removeprefix("#")
        found: Any = root
        for part in pointer.split("/")[1:]:
            found = found[part.replace("~1", "/").replace("~0", "~")]
        at = _At(found, pointer)
    return at


def _default(old: _At, new: _At) -> _Found:
    before, after = old.get("default"), new.get("default")
    if before is not _UNSET and after is not _UNSET and before != after:
        yield (
            old.under("default"),
            f"the default was {_text(before)} and is {_text(after)}: a document without the field would mean "
            "another thing than it did",
        )


def _values(old: _At, new: _At) -> _Found:
    before, after = _allowed(old), _allowed(new)
    if before is None and after is None:
        return
    if before is None:
        yield old.pointer, f"only {_listed(after)} are allowed where any value was: {_OLD_DOCUMENTS}"
    elif after is None:
        yield old.pointer, f"any value is allowed where only {_listed(before)} were: {_OLD_READERS}"
    else:
        gone = [value for value in before if value not in after]
        come = [value for value in after if value not in before]
        if gone:
            yield old.pointer, f"the value {_listed(gone)} is gone: {_OLD_DOCUMENTS}"
        if come:
            yield old.pointer, f"the value {_listed(come)} was added: {_OLD_READERS}"


def _bounds(old: _At, new: _At) -> _Found:
    for keywords, is_smallest in ((_SMALLEST, True), (_LARGEST, False)):
        for keyword in keywords:
            before, after = old.get(keyword), new.get(keyword)
            if before == after:
                continue
            is_tighter = before is _UNSET or (
                after is not _UNSET and (after > before if is_smallest else after < before)
            )
            place = old.under(keyword) if before is not _UNSET else new.under(keyword)
            refused = _OLD_DOCUMENTS if is_tighter else _OLD_READERS
            yield place, f"{keyword} was {_text(before)} and is {_text(after)}: {refused}"


def _types(at: _At) -> tuple[str, ...]:
    kind = at.schema.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(sorted(kind))


def _retyping(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    wider = {**dict.fromkeys(before, True), **({"integer": True} if "number" in before else {})}
    if after and all(kind in wider for kind in after):
        return _OLD_DOCUMENTS
    wider = {**dict.fromkeys(after, True), **({"integer": True} if "number" in after else {})}
    if not after or (before and all(kind in wider for kind in before)):
        return _OLD_READERS
    return _BOTH


def _allowed(at: _At) -> list[Any] | None:
    if "const" in at.schema:
        return [at.schema["const"]]
    values = at.schema.get("enum")
    return None if values is None else list(values)


def _same(one: Schema, other: Schema) -> bool:
    """Whether two fields are alike but for their words."""
    first, second = ({key: value for key, value in each.items() if key not in _WORDS} for each in (one, other))
    return first == second


def _told(at: _At) -> str:
    if "title" in at.schema and "properties" in at.schema:
        return str(at.schema["title"])
    values = _allowed(at)
    return " or ".join(_types(at)) or (_listed(values) if values is not None else "any value")


def _listed(values: list[Any] | None) -> str:
    return ", ".join(_text(value) for value in values or ())


def _text(value: Any) -> str:
    return "not set" if value is _UNSET else json.dumps(value, ensure_ascii=False)
