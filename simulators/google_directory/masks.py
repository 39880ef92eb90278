"""Partial answers: the `fields` parameter, such as `nextPageToken,users(id,name/fullName)` (C7). Pure."""

from typing import Any

from simulators.google_directory.errors import Refused

MASK_LENGTH_MAX = 4_000
DEPTH_MAX = 20

Mask = dict[str, "Mask"]
"""What is kept, and of it what; nothing inside means all of it."""


def mask_of(text: str) -> Mask:
    """Read a mask; one that cannot be read is refused."""
    mask: Mask = {}
    if len(text) > MASK_LENGTH_MAX:
        raise _refused(text)
    end = _read(text, 0, mask, depth=0)
    if end != len(text):
        raise _refused(text)
    return mask


def masked(value: Any, mask: Mask) -> Any:
    """Keep what a mask names; arrays are gone through item by item."""
    if not mask or "*" in mask:
        return value
    if isinstance(value, list):
        return [masked(item, mask) for item in value]
    if isinstance(value, dict):
        return {name: masked(item, mask[name]) for name, item in value.items() if name in mask}
    return value


def _read(text: str, start: int, into: Mask, *, depth: int) -> int:
    """Read names up to the end or a closing bracket; give back where that is."""
    position = start
    while True:  # bounded: every turn goes on by a letter or refuses
        target = into
        while True:
            end = position
            while end < len(text) and (text[end].isalnum() or text[end] in "_*$"):
                end += 1
            if end == position or depth > DEPTH_MAX:
                raise _refused(text)
            target = target.setdefault(text[position:end], {})
            position = end
            if position == len(text) or text[position] != "/":
                break
            position += 1
        if position < len(text) and text[position] == "(":
            position = _read(text, position + 1, target, depth=depth + 1)
            if position == len(text):
                raise _refused(text)
            position += 1
        if position == len(text) or text[position] == ")":
            if depth == 0 and position < len(text):
                raise _refused(text)
            return position
        if text[position] != ",":
            raise _refused(text)
        position += 1


def _refused(text: str) -> Refused:
    return Refused("invalid", f"Invalid field selection {text[:60]}", rule="C7")
