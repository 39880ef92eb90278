"""Nasty bodies: JSON at and beyond the edge of what JSON and the contract allow, in an honest frame."""

from __future__ import annotations

import json
import re
from typing import Any

from simulators.hostile.script import ITEMS, Ask, Card, End, Steps, encoded

CARD = Card(reach="list")
DEPTH = 100_000
DIGITS = 1_000_000
HUGE_ID = 2**70
_LOOKALIKE = str.maketrans({"e": "\u0435", "o": "\u043e", "a": "\u0430"})
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_MARK = "@@"
_BEYOND_ASCII = "Zo\u00eb \U0001f98a \u202eadA"


def _last(**fields: object) -> tuple[dict[str, Any], ...]:
    """The list as it is when the last item of all has these fields."""
    return (*ITEMS[:-1], ITEMS[-1] | fields)


def _text(ask: Ask) -> str:
    return ask.body().decode()


def _with_extra(ask: Ask, value: str) -> bytes:
    """An unknown member at the start of the first object there is."""
    return _text(ask).replace("{", '{"extra":' + value + ",", 1).encode()


def _raw(ask: Ask, member: str, value: bytes) -> bytes:
    """The document with these bytes for the value of one member of every item."""
    marked = ask.with_items([ask.altered(item, **{member: _MARK}) for item in ask.items()])
    return encoded(marked).replace(b'"' + _MARK.encode() + b'"', value)


def renamed(ask: Ask, name: str) -> Any:
    """The document in which every item is called so."""
    return ask.with_items([ask.altered(item, name=name) for item in ask.items()])


@CARD.add("either")
def json_deep_nesting(ask: Ask) -> bytes:
    """An unknown member holds 100,000 nested arrays: a recursive parser falls over."""
    return _with_extra(ask, "[" * DEPTH + "]" * DEPTH)


@CARD.add("either", renames="Mallory")
def json_duplicate_keys(ask: Ask) -> bytes:
    """Each item has two names; parsers differ in which they take, most the last."""
    return _raw(ask, "name", b'"Ada","' + ask.name_key.encode() + b'":"Mallory"')


@CARD.add("either", items=(*ITEMS[:-1], ITEMS[-1] | {"id": HUGE_ID}), reach="own")
def json_huge_integer(ask: Ask) -> Any:
    """An id beyond 64 bits: right, or refused, but never rounded."""
    items = ask.items()
    if ask.offset + len(items) >= ask.total:
        items[-1:] = [ask.altered(item, id=HUGE_ID) for item in items[-1:]]
    return ask.with_items(items)


@CARD.add("refuse")
def json_infinite_number(ask: Ask) -> bytes:
    """An id 1e999, which is JSON and no number that a machine has."""
    return _raw(ask, "id", b"1e999")


@CARD.add("refuse")
def json_not_a_number(ask: Ask) -> bytes:
    """An id NaN, which is no JSON although many parsers take it."""
    return _raw(ask, "id", b"NaN")


@CARD.add("either")
def json_number_of_a_million_digits(ask: Ask) -> bytes:
    """An unknown member with a number that takes quadratic time to read."""
    return _with_extra(ask, "7" * DIGITS)


@CARD.add("refuse")
def json_lone_surrogate(ask: Ask) -> Any:
    """A name with half a character, which no UTF-8 and no database can hold."""
    return renamed(ask, "Ada \ud83d")


@CARD.add("refuse")
def json_surrogate_in_bytes(ask: Ask) -> bytes:
    """The same half character in bytes, which is no UTF-8."""
    return _raw(ask, "name", b'"\xed\xa0\xbd"')


@CARD.add("refuse")
def json_invalid_utf8(ask: Ask) -> bytes:
    """Bytes that are no UTF-8; a client that replaces them changes a name."""
    return _raw(ask, "name", b'"Sampl\xe9"')


@CARD.add("either", renames="Ada\x00Sample")
def json_nul_in_text(ask: Ask) -> Any:
    """A name with the character zero, at which some stores end a text."""
    return renamed(ask, "Ada\x00Sample")


@CARD.add("either", is_everywhere=True)
def json_byte_order_mark(ask: Ask) -> bytes:
    """A mark before the JSON, which readers may skip and writers must not send (RFC 8259 8.1)."""
    return b"\xef\xbb\xbf" + ask.body()


@CARD.add("either", is_everywhere=True)
def json_in_utf16(ask: Ask) -> bytes:
    """JSON in UTF-16, as an older standard allowed."""
    return _text(ask).encode("utf-16")


@CARD.add("refuse", is_everywhere=True)
def json_with_more_after_it(ask: Ask) -> bytes:
    """A second document after the first: which one is the answer?"""
    return ask.body() + encoded({"total": 0, "items": []})


@CARD.add("refuse", is_everywhere=True)
def json_torn(ask: Ask) -> bytes:
    """Half a document in a frame that fits the half."""
    return ask.body()[: len(ask.body()) // 2]


@CARD.add("refuse")
def json_with_trailing_comma(ask: Ask) -> bytes:
    """A comma too many, which only lenient parsers take."""
    return ask.body().replace(b"}]", b"},]")


@CARD.add("refuse", is_everywhere=True)
def json_with_comments(ask: Ask) -> bytes:
    """A comment, which JSON has not."""
    return b"/* all of them */" + ask.body()


@CARD.add("refuse", is_everywhere=True)
def json_in_single_quotes(ask: Ask) -> bytes:
    """What some languages print and call JSON."""
    return ask.body().replace(b'"', b"'")


@CARD.add("refuse", is_everywhere=True)
def json_twice_encoded(ask: Ask) -> Any:
    """A text that holds the document."""
    return _text(ask)


@CARD.add("refuse", is_everywhere=True)
def json_null(ask: Ask) -> Any:
    """The whole answer is null."""
    return None


@CARD.add("refuse")
def json_null_everywhere(ask: Ask) -> Steps:
    """Every value is null: no page is not an empty page."""
    return ask.page(items=[None for _ in ask.items()], total=None)


@CARD.add("refuse")
def json_null_items(ask: Ask) -> Any:
    """The list is null, which must not be read as empty."""
    return ask.with_items(None)


@CARD.add("refuse")
def json_null_values(ask: Ask) -> Any:
    """Every item is there and empty."""
    return ask.with_items([dict.fromkeys(item) for item in ask.items()])


@CARD.add("refuse", reach="wrapped")
def json_without_items(ask: Ask) -> Any:
    """The list is not there at all."""
    document = ask.document()
    document.pop(ask.items_key, None)
    return document


@CARD.add("refuse", is_everywhere=True)
def json_empty_object(ask: Ask) -> Any:
    """Success, and nothing in it."""
    return {}


@CARD.add("refuse")
def json_error_under_success(ask: Ask) -> Any:
    """200 with an error document."""
    return {"status": "error", "messages": "the token has expired", "payload": None}


@CARD.add("refuse", reach="wrapped")
def json_array_for_object(ask: Ask) -> Any:
    """The bare array where an object was agreed."""
    return ask.items()


@CARD.add("refuse")
def json_object_for_array(ask: Ask) -> Any:
    """The list as an object with positions for keys, as some languages print arrays."""
    return ask.with_items({str(position): item for position, item in enumerate(ask.items())})


@CARD.add("refuse")
def json_one_item_for_array(ask: Ask) -> Any:
    """One item where a list was agreed."""
    return ask.with_items(next(iter(ask.items()), None))


@CARD.add("refuse")
def json_items_are_arrays(ask: Ask) -> Any:
    """Items as arrays of their values."""
    return ask.with_items([list(item.values()) for item in ask.items()])


@CARD.add("refuse")
def json_items_are_texts(ask: Ask) -> Any:
    """Items as texts that hold JSON."""
    return ask.with_items([json.dumps(item) for item in ask.items()])


@CARD.add("refuse")
def json_one_item_is_none(ask: Ask) -> Any:
    """The last item of every page is null, among others that are right."""
    return ask.with_items([*ask.items()[:-1], None])


@CARD.add("refuse")
def json_one_item_is_a_text(ask: Ask) -> Any:
    """The last item of every page is a text, among others that are right."""
    return ask.with_items([*ask.items()[:-1], "Ada Sample"])


@CARD.add("refuse")
def json_ids_change_type(ask: Ask) -> Any:
    """Ids are numbers on the first page and texts on the others (lists, where they were texts): they match nothing."""
    items = ask.items()
    if ask.offset:
        ids = [ask.id_of(item) for item in items]
        others = [str(each) if isinstance(each, int) else [each] for each in ids]
        items = [ask.altered(item, id=other) for item, other in zip(items, others, strict=True)]
    return ask.with_items(items)


@CARD.add("refuse", reach="wrapped")
def json_keys_in_other_case(ask: Ask) -> Any:
    """`Items`: another key, however alike."""
    return _respelled(ask, ask.items_key.title())


@CARD.add("refuse", reach="wrapped")
def json_lookalike_keys(ask: Ask) -> Any:
    """A key with Cyrillic letters in it, which looks the same and is not."""
    return _respelled(ask, ask.items_key.translate(_LOOKALIKE))


@CARD.add("accept", reach="wrapped")
def json_lookalike_keys_beside(ask: Ask) -> Any:
    """The honest keys, and after them lookalikes with other items."""
    others = [ask.altered(item, name="Mallory") for item in ask.items()]
    return ask.document() | {ask.items_key.translate(_LOOKALIKE): others, ask.items_key.upper(): []}


@CARD.add("accept")
def json_all_escaped(ask: Ask) -> bytes:
    """Every letter of every key and text as an escape, which is the same JSON."""
    return _TEXT.sub(_escaped, _text(ask)).encode()


@CARD.add("accept")
def json_in_much_white_space(ask: Ask) -> bytes:
    """A quarter of a megabyte of blank lines around the document."""
    return b"\r\n\t " * 65_536 + ask.body() + b" \n" * 1_000


@CARD.add("accept")
def json_unknown_members(ask: Ask) -> Any:
    """Members nobody has heard of, of every type."""
    strange = {"__proto__": {"id": 0}, "": None, "x": [1, 2.5, "", {}], "\u0000": True}
    document = ask.with_items([item | strange for item in ask.items()])
    return document | strange if isinstance(document, dict) else document


@CARD.add("accept", renames=_BEYOND_ASCII)
def json_beyond_ascii(ask: Ask) -> bytes:
    """Names in raw UTF-8, with a character beyond 16 bits and one that turns the writing round."""
    return json.dumps(renamed(ask, _BEYOND_ASCII), ensure_ascii=False).encode()


@CARD.add("refuse", is_everywhere=True)
def empty_body(ask: Ask) -> bytes:
    """200 and no byte."""
    return b""


@CARD.add("refuse", is_everywhere=True)
def endless_body(ask: Ask) -> Steps:
    """An item with a name that never ends, in chunks, up to a gigabyte."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    start = b'{"total":6,"items":[{"id":1,"name":"'
    yield f"{len(start):x}\r\n".encode() + start + b"\r\n"
    block = b"10000\r\n" + b"A" * 65_536 + b"\r\n"
    for _ in range(16_384):
        yield block
    yield End.CLOSE


@CARD.add("refuse", is_everywhere=True)
def gigantic_body(ask: Ask) -> Steps:
    """Ten gigabytes are announced and a tenth of them is sent, in white space."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10737418240\r\n\r\n"
    for _ in range(16_384):
        yield b" " * 65_536
    yield End.CLOSE


def _respelled(ask: Ask, key: str) -> Any:
    """The document whose list stands under another key."""
    return {key if name == ask.items_key else name: value for name, value in ask.document().items()}


def _escaped(found: re.Match[str]) -> str:
    units = json.loads(found[0]).encode("utf-16-be")
    return '"' + "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)) + '"'
