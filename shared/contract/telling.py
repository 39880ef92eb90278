"""Turns the model's complaints about a document into problems with places, in the language of the definition.

Pure. Where the model allows several forms, the complaints about one part are told as one.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic_core import ErrorDetails

from shared.contract.positions import Located, Path
from shared.contract.problems import Problem

SHOWN_MAX = 60
"""Characters of a value that a message repeats; a longer one is not shown."""


def told(located: Located, details: Iterable[ErrorDetails]) -> list[Problem]:
    """The problems that the model has with a document."""
    problems: list[Problem] = []
    by_place: dict[Path, list[ErrorDetails]] = {}
    for detail in details:
        path = located.there(detail["loc"])
        last = detail["loc"][-1] if detail["loc"] else ""
        if detail["type"] == "missing":
            problems.append(located.problem(path, f"{last!r} is missing", "add it", at_key=True))
        elif detail["type"] == "extra_forbidden":
            problems.append(
                located.problem(path, f"key {last!r} is not part of the language", "correct or remove it", at_key=True)
            )
        elif last == "[key]":  # the model's own word for the name of an entry
            name = path[-1] if path else ""
            problems.append(located.problem(path, f"{name!r} is no name: {detail['msg']}", "correct it", at_key=True))
        else:
            by_place.setdefault(path, []).append(detail)
    for path, complaints in by_place.items():
        problems.append(_told_as_one(located, path, complaints))
    return problems


def _told_as_one(located: Located, path: Path, complaints: list[ErrorDetails]) -> Problem:
    """What the model says to one part; the forms of an alternative complain one by one."""
    said = list(dict.fromkeys(complaint["msg"].removeprefix("Value error, ") for complaint in complaints))
    message = " or ".join([said[0], *(text.removeprefix("Input should be ") for text in said[1:])])
    value = complaints[0]["input"]
    shown = repr(value)
    found = f" (found {shown})" if len(shown) <= SHOWN_MAX and not isinstance(value, dict | list) else ""
    place = ".".join(str(part) for part in path)
    return located.problem(path, f"{place}: {message}{found}" if place else message, "correct it")
