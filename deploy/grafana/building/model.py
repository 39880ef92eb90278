"""What a dashboard is made of: values that refuse to be incomplete.

A panel has a title, a unit and a sentence that says what one sees; a query names figures of the table only. All values
are frozen, so a dashboard that could be made can be written. How it becomes Grafana's JSON stands in `rendering`. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from deploy.grafana.building.queries import check_query

WIDTH: Final = 24
"""Columns of Grafana's grid."""
PANELS_MAX: Final = 40
QUERIES_MAX: Final = 6
_UID: Final = re.compile(r"aether-[a-z]+")


class Refused(ValueError):
    """A part of a dashboard is not complete."""


class Unit(StrEnum):
    """Grafana's name of a unit."""

    NUMBER = "short"
    SECONDS = "s"
    BYTES = "bytes"
    SHARE = "percentunit"
    PER_SECOND = "cps"
    REQUESTS_PER_SECOND = "reqps"
    SINCE = "dateTimeFromNow"
    """A moment in milliseconds since 1970, told as how long ago it was."""
    STATE = "none"


class Colour(StrEnum):
    """The few colours there are; none of them says anything that the number does not say too."""

    GOOD = "green"
    WARNING = "orange"
    BAD = "red"
    QUIET = "blue"
    NOTHING = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query, and what its series are called (`{{label}}` stands for the label's value)."""

    expr: str
    legend: str = ""
    has_exemplars: bool = False
    """Points that name traces are drawn too; for queries over buckets of a histogram."""

    def __post_init__(self) -> None:
        """Refuse what no program gives."""
        check_query(self.expr)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which value on which colour; what lies below the first has `base`."""

    steps: tuple[tuple[float, Colour], ...] = ()
    base: Colour = Colour.NOTHING

    def __post_init__(self) -> None:
        """Refuse steps that do not rise."""
        values = [value for value, _ in self.steps]
        if values != sorted(set(values)):
            raise Refused(f"thresholds {values} do not rise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What every panel with data has."""

    title: str
    sentence: str
    unit: Unit
    queries: tuple[Query, ...]
    thresholds: Thresholds = field(default_factory=Thresholds)
    width: int = 8
    height: int = 7
    why_empty: str = ""
    """Why it has no data while nothing is wrong; empty where there must always be some."""

    def __post_init__(self) -> None:
        """Refuse what nobody would understand at night."""
        if not self.title.strip():
            raise Refused(f"a panel has no title: {self.sentence!r}")
        if not self.sentence.strip().endswith("."):
            raise Refused(f"panel {self.title!r} has no sentence that says what one sees")
        if not isinstance(self.unit, Unit):
            raise Refused(f"panel {self.title!r} has no unit")
        if not 1 <= len(self.queries) <= QUERIES_MAX:
            raise Refused(f"panel {self.title!r} has {len(self.queries)} queries, allowed 1 to {QUERIES_MAX}")
        if not 1 <= self.width <= WIDTH:
            raise Refused(f"panel {self.title!r} is {self.width} columns wide, allowed 1 to {WIDTH}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat(Panel):
    """One number a series, as of now."""

    mappings: tuple[tuple[int, str, Colour], ...] = ()
    """Words in place of numbers."""
    width: int = 4
    height: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSeries(Panel):
    """Lines over time; stacked ones add up."""

    is_stacked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Panel):
    """One row for each set of labels, as of now; each query is a column, called by its legend."""

    labels: tuple[str, ...]
    """The labels that make the rows, in order; every query has to keep exactly these."""
    column_units: tuple[Unit, ...] = ()
    """By query, where it is not the panel's unit."""
    width: int = 12
    height: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTimeline(Panel):
    """A band a series, whose colour and word say in which state it was when."""

    mappings: tuple[tuple[int, str, Colour], ...]
    width: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap(Panel):
    """How often how much, over time, from the buckets of one histogram."""

    width: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A few sentences and links in Markdown."""

    title: str
    markdown: str
    width: int = WIDTH
    height: int = 4


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel | Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """What the reader chooses: a value of a label, or an address that whoever runs Grafana sets once."""

    name: str
    label: str
    figure: str = ""
    """The figure whose label of that name has the values; empty for an address."""
    value: str = ""
    """The address, as it is until somebody sets another."""
    is_many: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard."""

    uid: str
    """Never changes: addresses and alerts name it."""
    title: str
    sentence: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    since: str = "now-24h"
    refresh: str = "30s"

    def __post_init__(self) -> None:
        """Refuse names that are used twice, and variables that nobody declared."""
        if _UID.fullmatch(self.uid) is None:
            raise Refused(f"uid {self.uid!r} is not aether-… in small letters")
        panels = self.panels()
        if not 1 <= len(panels) <= PANELS_MAX:
            raise Refused(f"{self.title} has {len(panels)} panels, allowed 1 to {PANELS_MAX}")
        titles = [panel.title for panel in panels]
        if twice := {title for title in titles if titles.count(title) > 1}:
            raise Refused(f"{self.title} has two panels called {', '.join(sorted(twice))}")
        declared = {variable.name for variable in self.variables}
        for panel in panels:
            for query in panel.queries if isinstance(panel, Panel) else ():
                used = {name for name in re.findall(r"\$(\w+)", query.expr) if not name.startswith("__")}
                if unknown := used - declared:
                    raise Refused(f"panel {panel.title!r} uses ${', $'.join(sorted(unknown))}, which is not declared")

    def panels(self) -> tuple[Panel | Text, ...]:
        """All of them, from top to bottom."""
        return tuple(panel for row in self.rows for panel in row.panels)
