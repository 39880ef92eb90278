"""Reads the calendar of the house: one YAML document, kept by the district's administrator.

It is read anew whenever it is asked for, so that a window can be added while the house runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.errors import NeedsPerson
from shared.ports.yaml_document import Problem, YamlInvalid, position_of, read_yaml
from shared.schedule.calendar import HouseCalendar


class CalendarInvalid(NeedsPerson):
    """The calendar cannot be used; `problems` names every place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("SCH_CONFIG", "\n".join(str(problem) for problem in problems), problems=len(problems))


def load_calendar(path: Path) -> HouseCalendar:
    """The calendar at `path`; `CalendarInvalid` names file, line and column of every problem."""
    try:
        document = read_yaml(path)
    except YamlInvalid as invalid:
        raise CalendarInvalid(list(invalid.problems)) from None
    try:
        return HouseCalendar.model_validate(document)
    except ValidationError as invalid:
        raise CalendarInvalid(
            [_problem(error, document, path=path) for error in invalid.errors(include_input=False, include_url=False)]
        ) from None


def _problem(error: Any, document: Any, *, path: Path) -> Problem:
    place = ".".join(str(part) for part in error["loc"]) or "the calendar"
    text = error["msg"].removeprefix("Value error, ")
    return Problem(*position_of(document, error["loc"], path=path), f"{place}: {text}")
