"""What can be wrong with a JSON document or with bytes: seeded ways to spoil one. Pure; knows no event and no vendor.

A way to spoil takes a random generator and a sound document and returns bytes. Several plant `CANARY`, a text that
stands for a person's value: whatever refuses the document must not repeat it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

CANARY: Final = "Zzyzx-Quagmire-5512"
"""Stands where a record's value would stand."""
DEPTHS: Final = (30, 300, 5_000, 60_000)
LONG: Final = (300, 70_000, 900_000)
"""Characters of an overlong text: too long for a name, for a header, nearly too long for a message."""
WILD: Final = (
    "*", ">", "a.b", "a b", "", ".", "..", "../../etc/passwd", "a\nb", "a\r\nPUB x 1\r\nx\r\n", "\x00", "\u202e",
    "20261122T083455-4k7zq2.>", "20261122T083455-4k7zq2 ", "20261122T083455-4k7zq\u00e9",
    "\uff120261122T083455-4k7zq2", "$JS.>",
)  # fmt: skip
"""What no id may be: wildcards, dots, spaces, line ends, digits of other alphabets."""
NUMBERS: Final = (
    "-1", "0.5", "1e3", "1e400", "-1e400", "NaN", "Infinity", "-Infinity", "9" * 30, "9" * 5_000, "1e-400", "00", "0x1",
)  # fmt: skip

Spoiler = Callable[[Random, Any], bytes]
Place = tuple[str | int, ...]


def places_of(document: Any, at: Place = ()) -> list[Place]:
    """Every place in a document, the whole of it left out."""
    found: list[Place] = []
    entries: Sequence[tuple[str | int, Any]] = ()
    if isinstance(document, dict):
        entries = list(document.items())
    elif isinstance(document, list):
        entries = list(enumerate(document))
    for name, part in entries:
        found += [(*at, name), *places_of(part, (*at, name))]
    return found


def part_at(document: Any, place: Place) -> Any:
    """What lies at a place."""
    for name in place:
        document = document[name]
    return document


def with_part(document: Any, place: Place, value: Any) -> Any:
    """A copy of the document with another value at a place."""
    if not place:
        return value
    changed = copy.deepcopy(document)
    part_at(changed, place[:-1])[place[-1]] = value
    return changed


def without_part(document: Any, place: Place) -> Any:
    """A copy of the document without what lies at a place."""
    changed = copy.deepcopy(document)
    del part_at(changed, place[:-1])[place[-1]]
    return changed


def written(document: Any) -> bytes:
    """The document as bytes."""
    return json.dumps(document).encode()


_MARK: Final = '"\u0001here\u0001"'


def with_raw(document: Any, place: Place, raw: str | bytes) -> bytes:
    """The document as bytes, with text that need not be JSON at a place."""
    marked = json.dumps(with_part(document, place, "\u0001here\u0001"), ensure_ascii=False).encode()
    token = json.dumps("\u0001here\u0001", ensure_ascii=False).encode()
    return marked.replace(token, raw.encode() if isinstance(raw, str) else raw)


def _place(rng: Random, document: Any) -> Place:
    return rng.choice(places_of(document) or [()])


def _texts(document: Any) -> list[Place]:
    return [place for place in places_of(document) if isinstance(part_at(document, place), str)]


def bits_flipped(rng: Random, document: Any) -> bytes:
    """A few bits are others."""
    content = bytearray(written(document))
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def cut_short(rng: Random, document: Any) -> bytes:
    """The end is missing."""
    content = written(document)
    return content[: rng.randrange(len(content))]


def with_a_tail(rng: Random, document: Any) -> bytes:
    """Something follows the end."""
    return written(document) + rng.choice([b"}", b"]", b"\x00", b"{}", CANARY.encode(), written(document), b",\n"])


def no_json(rng: Random, document: Any) -> bytes:
    """Something else altogether."""
    return rng.choice(
        [
            b"", b" ", b"\xef\xbb\xbf{}", b"null", b"true", b"[]", b"{}", b'""', b"0", rng.randbytes(rng.randint(1,
            400)),
            f"<html><body>{CANARY}</body></html>".encode(), written(document).decode().encode("utf-16"),
            f'"{CANARY}"'.encode(), f"[{json.dumps(document)}]".encode(), b"\x1f\x8b\x08" + rng.randbytes(60),
        ]
    )  # fmt: skip


def deeply_nested(rng: Random, document: Any) -> bytes:
    """One part is a list in a list in a list…, closed or not."""
    depth = rng.choice(DEPTHS)
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
    return with_raw(document, _place(rng, document), opening * depth + "1" + closing * rng.choice([depth, 0]))


def odd_number(rng: Random, document: Any) -> bytes:
    """One part is a number that is none, or none of ours."""
    numbers = [
        place
        for place in places_of(document)
        if isinstance(part_at(document, place), int | float) and not isinstance(part_at(document, place), bool)
    ]
    return with_raw(document, rng.choice(numbers) if numbers else _place(rng, document), rng.choice(NUMBERS))


def wrong_type(rng: Random, document: Any) -> bytes:
    """One part is of another type."""
    place = _place(rng, document)
    present = part_at(document, place)
    others = [
        value for value in (None, True, 7, 7.5, CANARY, [], [CANARY], {}, {"stranger": CANARY}) if value != present
    ]
    return written(with_part(document, place, rng.choice(others)))


def key_twice(rng: Random, document: Any) -> bytes:
    """A name stands twice in the document, the second time with another type."""
    if not isinstance(document, dict) or not document:
        return no_json(rng, document)
    name = rng.choice(list(document))
    second = rng.choice(["[]", "7", "null", f'"{CANARY}"', "{}"])
    return written(document)[:-1] + f", {json.dumps(name)}: {second}}}".encode()


def part_missing(rng: Random, document: Any) -> bytes:
    """One part is missing."""
    places = [place for place in places_of(document) if isinstance(place[-1], str)]
    return written(without_part(document, rng.choice(places))) if places else no_json(rng, document)


def part_too_many(rng: Random, document: Any) -> bytes:
    """One object has a name that no schema holds."""
    objects = [(), *(place for place in places_of(document) if isinstance(part_at(document, place), dict))]
    place = rng.choice(objects)
    present = part_at(document, place)
    strange = {**(present if isinstance(present, dict) else {}), rng.choice(["stranger", "__class__", ""]): CANARY}
    return written(with_part(document, place, strange))


def bad_unicode(rng: Random, document: Any) -> bytes:
    """One text is not UTF-8, or half a character."""
    places = _texts(document)
    raw = rng.choice(
        [b'"\xff\xfe"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\udfff x"', b'"a\x00b"', b'"\xe2\x28"']
    )
    return with_raw(document, rng.choice(places) if places else _place(rng, document), raw)


def wild_id(rng: Random, document: Any) -> bytes:
    """One text is what no id may be."""
    places = _texts(document)
    ids = [place for place in places if place[-1] in ("run", "entity", "connector", "target", "change_id", "attempt")]
    return written(with_part(document, rng.choice(ids or places or [()]), rng.choice(WILD)))


def overlong_text(rng: Random, document: Any) -> bytes:
    """One text is far too long."""
    places = _texts(document)
    size = rng.choice(LONG)
    return written(with_part(document, rng.choice(places or [()]), (CANARY + "x" * size)[:size]))


def overlong_list(rng: Random, document: Any) -> bytes:
    """One list holds its entries, or rubbish, thousands of times."""
    lists = [place for place in places_of(document) if isinstance(part_at(document, place), list)]
    place = rng.choice(lists) if lists else _place(rng, document)
    present = part_at(document, place)
    entry = rng.choice([CANARY, None, *(present if isinstance(present, list) else [])])
    return written(with_part(document, place, [entry] * rng.choice([501, 4_001, 20_000])))


SPOILERS: Final[Mapping[str, Spoiler]] = {
    spoiler.__name__: spoiler
    for spoiler in (
        bits_flipped, cut_short, with_a_tail, no_json, deeply_nested, odd_number, wrong_type, key_twice, part_missing,
        part_too_many, bad_unicode, wild_id, overlong_text, overlong_list,
    )
}  # fmt: skip
"""Every way to spoil a document, by name."""
