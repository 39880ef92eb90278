"""Turns a JSON value into its one canonical byte form (RFC 8785) and into digests over that form.

Everything that is hashed, committed to or signed passes through here, on every town of the road. It never repairs a
value: what has no exact canonical form is refused, with the JSON pointer (RFC 6901) of the first offender.

Two writers stand behind it. The reference writer knows all of RFC 8785 and is pure Python; orjson is twenty times as
quick and writes the same bytes for values without floats and with ASCII keys, which is nearly all that we hash. Which
one writes shows in no byte.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Collection
from typing import Any, cast

import orjson
import rfc8785

INTEGER_MAX = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (I-JSON, RFC 7493 section 2.2); below 0 likewise."""

_QUICK = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_NESTING_MAX = 16
"""Levels that are looked through for the quick writing; what is nested deeper goes the slow way."""

_PLAIN: frozenset[type] = frozenset({str, int, bool, type(None)})
"""Scalars that both writers write alike. Exactly these types: a subclass may have another notion of its text."""


class CanonicalJsonError(ValueError):
    """The value has no canonical JSON form; `pointer` says where."""

    def __init__(self, pointer: str, problem: str) -> None:
        self.pointer = pointer
        super().__init__(f"at {pointer or 'the top of the document'}: {problem}")


def canonical_json(value: object) -> bytes:
    """The RFC 8785 bytes of a JSON value: dict, list or tuple, str, bool, None, int and finite float.

    Raises `CanonicalJsonError` for floats that are not finite, integers beyond `INTEGER_MAX`, keys that are no
    strings, text that is not Unicode, and types that JSON does not have.
    """
    kind = type(value)
    if kind is str or kind in _PLAIN or _is_plain(value, _NESTING_MAX):
        try:  # `canonical_json_of_plain`, without the price of a call: this is done several times for each change
            return orjson.dumps(value, option=_QUICK)
        except orjson.JSONEncodeError:
            pass
    return _by_reference(value)


def canonical_json_of_plain(value: object) -> bytes:
    """The same bytes, for a caller that has built the value itself of ASCII keys, text, int, bool and None.

    It is not looked through again: a float in it would be written in another form, or as null. Refuses as
    `canonical_json` does.
    """
    try:
        return orjson.dumps(value, option=_QUICK)
    except orjson.JSONEncodeError:
        return _by_reference(value)  # which says where the fault is


def _is_plain(value: object, nesting_left: int) -> bool:
    """Whether orjson writes the value, which is no scalar, as RFC 8785 asks.

    Not with floats: it writes 1.0 where the RFC has 1, and null for what is not finite. Not with other keys than ASCII:
    it sorts by code point, the RFC by UTF-16 unit.
    """
    if not nesting_left:
        return False
    if type(value) is dict:
        if value and (set(map(type, value)) != {str} or not "".join(value).isascii()):
            return False
        inner: Collection[object] = value.values()
    elif type(value) is list or type(value) is tuple:
        inner = value
    else:
        return False
    # Most containers hold scalars only; one look at all their types is quicker than a call for each.
    return set(map(type, inner)) <= _PLAIN or all(
        type(one) in _PLAIN or _is_plain(one, nesting_left - 1) for one in inner
    )


def _by_reference(value: object) -> bytes:
    try:
        return rfc8785.dumps(cast(Any, value))
    except RecursionError as error:
        limit = sys.getrecursionlimit()
        raise CanonicalJsonError(
            "", f"nested too deeply for a call depth of {limit}, or contains itself; flatten it"
        ) from error
    except ValueError as error:
        # Looked for only now: a walk before every call would double the price of the many values that are sound.
        pointer, problem = _first_fault(value)
        raise CanonicalJsonError(pointer, problem or str(error)) from error


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: object) -> str:
    """The digest of a JSON value's canonical form, as `sha256:` and 64 hexadecimal digits."""
    return "sha256:" + sha256_hex(canonical_json(value))


def _first_fault(value: object) -> tuple[str, str]:
    """Pointer and description of the first fault in document order; each container is entered once, so it ends."""
    stack: list[tuple[str, object]] = [("", value)]
    entered: set[int] = set()
    while stack:
        pointer, item = stack.pop()
        if isinstance(item, dict | list | tuple):
            if id(item) in entered:
                continue
            entered.add(id(item))
        if isinstance(item, dict):
            for key in item:
                if not isinstance(key, str):
                    return pointer, f"object key {key!r} is a {type(key).__name__}; keys must be strings"
                if not _is_unicode(key):
                    return pointer, f"object key {key!r} holds a lone surrogate; keys must be Unicode text"
            stack.extend((f"{pointer}/{_escaped(key)}", item[key]) for key in reversed(item))
        elif isinstance(item, list | tuple):
            stack.extend((f"{pointer}/{place}", item[place]) for place in reversed(range(len(item))))
        elif problem := _scalar_fault(item):
            return pointer, problem
    return "", ""


def _scalar_fault(item: object) -> str:
    """What is wrong with a value that holds no others; empty when nothing is. Never shows text: it may be personal."""
    match item:
        case None | bool():
            return ""
        case int() if abs(item) > INTEGER_MAX:
            return f"an integer of {item.bit_length()} bits; the limit is {INTEGER_MAX} (53 bits), write it as a string"
        case float() if not math.isfinite(item):
            return f"the float {item} is not finite; JSON has no such number, use null or a string"
        case str() if not _is_unicode(item):
            return "text with a lone surrogate; it must be Unicode text"
        case int() | float() | str():
            return ""
        case _:
            return f"a {type(item).__name__}; JSON has dict, list, str, int, float, bool and None"


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def _escaped(key: str) -> str:
    """A key as a JSON pointer token (RFC 6901 section 3)."""
    return key.replace("~", "~0").replace("/", "~1")
