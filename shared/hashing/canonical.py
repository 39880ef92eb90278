"""Turns a JSON value into its one canonical byte form (RFC 8785) and into digests over that form.

Everything that is hashed, committed to or signed passes through here, on every town of the road. It never repairs a
value: what has no exact canonical form is refused, with the JSON pointer (RFC 6901) of the first offender.
"""

from __future__ import annotations

import hashlib
import math
import sys
from typing import Any, cast

import rfc8785

INTEGER_MAX = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (I-JSON, RFC 7493 section 2.2); below 0 likewise."""


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
