"""Finding one's way in a decoded JSON answer. Pure; says where something is wrong, never with its value."""

from __future__ import annotations

import orjson

Json = object
"""A decoded JSON value."""


class WrongShape(Exception):
    """An answer is not of the agreed shape; whoever knows what it was for gives it the code of its use."""

    def __init__(self, pointer: str, text: str) -> None:
        self.pointer = pointer
        self.text = text
        super().__init__(f"{pointer or '/'}: {text}")


def parsed(content: bytes) -> Json:
    """The JSON value of a body; `WrongShape` when it is none."""
    try:
        value: Json = orjson.loads(content)
    except ValueError:
        raise WrongShape("", "is no JSON") from None
    return value


def at(body: Json, pointer: str) -> Json:
    """What a JSON pointer (RFC 6901) points to among objects; `WrongShape` when it points to nothing."""
    found = body
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            raise WrongShape(pointer, "is missing")
        found = found[name]
    return found
