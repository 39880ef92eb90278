"""Charts as SVG text: numbers in, a picture with a title and a description out.

Pure. Colours come from classes of the style sheet, so that a chart follows light and dark; lengths stand in attributes,
because the pages allow no style in the text. What a chart shows always stands beside it as text or as a table too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

COLUMNS_MAX: Final = 60
"""Columns or bars of one chart; the caller cuts what it has."""
NAME_CHARACTERS_MAX: Final = 28
_WIDTH: Final = 480
_BAR_WIDTH: Final = 240
_BAR_HEIGHT: Final = 10
_COLUMNS_TOP, _COLUMNS_BOTTOM, _COLUMNS_LEFT = 10, 150, 40
_LABELS_MAX: Final = 7
_STEPS: Final = (1, 2, 5)


class TooMany(ValueError):
    """More columns than a chart can show."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a bar or a column."""

    kind: str
    """Which colour: `ok`, `warn`, `bad`, `info`, `act`, `busy` or `quiet`."""
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Column:
    """One column, its parts from the bottom up."""

    label: str
    parts: tuple[Part, ...]

    @property
    def total(self) -> float:
        """The height of the column."""
        return sum(part.value for part in self.parts)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a list of bars."""

    name: str
    kind: str
    value: float
    shown: str
    """The value as text."""


def stacked_bar(parts: Sequence[Part], *, title: str) -> Markup:
    """One small horizontal bar; parts without value take no room, parts with some are at least a hair wide."""
    shown = [part for part in parts if part.value > 0]
    total = sum(part.value for part in shown)
    text = f"{title}: " + (", ".join(f"{_number(part.value)} {part.name}" for part in shown) or "nothing")
    drawn = [_rect("track", 0, 0, _BAR_WIDTH, _BAR_HEIGHT)]
    at = 0.0
    for part in shown:
        width = part.value / total * _BAR_WIDTH
        drawn.append(
            _rect(f"part part--{part.kind}", at, 0, max(width, 1.5), _BAR_HEIGHT, f"{_number(part.value)} {part.name}")
        )
        at += width
    return _svg("chart chart--bar", _BAR_WIDTH, _BAR_HEIGHT, drawn, title=text, stretch=True)


def compared_bar(value: float, usual: float | None, *, largest: float, title: str, kind: str) -> Markup:
    """One bar with a mark where it usually ends; `largest` fills the width."""
    scale = _BAR_WIDTH / largest if largest > 0 else 0.0
    width = min(value * scale, _BAR_WIDTH)
    drawn = [
        _rect("track", 0, 2, _BAR_WIDTH, _BAR_HEIGHT),
        _rect(f"part part--{kind}", 0, 2, max(width, 1.0), _BAR_HEIGHT),
    ]
    if usual is not None:
        drawn.append(_rect("mark", min(max(usual * scale - 1, 0), _BAR_WIDTH - 2), 0, 2, _BAR_HEIGHT + 4, "usual"))
    return _svg("chart chart--bar", _BAR_WIDTH, _BAR_HEIGHT + 4, drawn, title=title, stretch=True)


def columns(given: Sequence[Column], *, title: str, description: str, unit: str = "") -> Markup:
    """Stacked columns over time, with a scale at the left; `TooMany` beyond `COLUMNS_MAX`."""
    if len(given) > COLUMNS_MAX:
        raise TooMany(f"{title}: {len(given)} columns, a chart shows {COLUMNS_MAX}; cut the list before")
    top = nice_ceiling(max((column.total for column in given), default=0.0))
    height = _COLUMNS_BOTTOM - _COLUMNS_TOP
    drawn = [part for fraction in _fractions(top, is_whole=not unit) for part in _scale_line(top, fraction, unit)]
    room = (_WIDTH - _COLUMNS_LEFT) / max(len(given), 1)
    width = min(room * 0.7, 34.0)
    every = max(-(-len(given) // _LABELS_MAX), 1)
    for place, column in enumerate(given):
        left = _COLUMNS_LEFT + place * room + (room - width) / 2
        bottom = float(_COLUMNS_BOTTOM)
        for part in column.parts:
            if part.value <= 0:
                continue
            tall = part.value / top * height
            hint = f"{column.label}: {_number(part.value)}{unit} {part.name}"
            drawn.append(_rect(f"part part--{part.kind}", left, bottom - tall, width, tall, hint))
            bottom -= tall
        if place % every == 0:
            drawn.append(_text(left + width / 2, _COLUMNS_BOTTOM + 16, column.label, anchor="middle"))
    return _svg("chart", _WIDTH, _COLUMNS_BOTTOM + 24, drawn, title=title, description=description)


def bars(given: Sequence[Bar], *, title: str, description: str) -> Markup:
    """Horizontal bars with names at the left and values at the right; `TooMany` beyond `COLUMNS_MAX`."""
    if len(given) > COLUMNS_MAX:
        raise TooMany(f"{title}: {len(given)} bars, a chart shows {COLUMNS_MAX}; cut the list before")
    largest = max((bar.value for bar in given), default=0.0) or 1.0
    names, values, row = 190, 50, 26
    room = _WIDTH - names - values
    drawn: list[Markup] = []
    for place, bar in enumerate(given):
        top = place * row
        drawn.append(_text(names - 10, top + 17, _short(bar.name), anchor="end"))
        width = max(bar.value / largest * room, 2.0)
        drawn.append(_rect(f"part part--{bar.kind}", names, top + 5, width, 16, f"{bar.name}: {bar.shown}"))
        drawn.append(_text(names + width + 8, top + 17, bar.shown, anchor="start"))
    return _svg("chart", _WIDTH, max(len(given) * row, row), drawn, title=title, description=description)


def nice_ceiling(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 … at or above a value; 1 for nothing."""
    if value <= 1:
        return 1.0
    power = 1.0
    while True:  # ends: the power grows tenfold each time
        for step in _STEPS:
            if value <= step * power:
                return step * power
        power *= 10


# --- pieces ---------------------------------------------------------------------------------------------------------


def _svg(
    kind: str,
    width: int,
    height: int,
    drawn: Iterable[Markup],
    *,
    title: str,
    description: str = "",
    stretch: bool = False,
) -> Markup:
    told = Markup("<desc>{}</desc>").format(description) if description else Markup("")
    ratio = Markup(' preserveAspectRatio="none"') if stretch else Markup("")
    # A title alone is not read by every screen reader; the label is.
    head = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}"{}><title>{}</title>{}').format(
        kind, width, height, title, ratio, title, told
    )
    return head + Markup("").join(drawn) + Markup("</svg>")


def _rect(kind: str, x: float, y: float, width: float, height: float, hint: str = "") -> Markup:
    shape = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"').format(
        kind, *(f"{value:.1f}" for value in (x, y, width, height))
    )
    return shape + (Markup("><title>{}</title></rect>").format(hint) if hint else Markup("/>"))


def _text(x: float, y: float, text: str, *, anchor: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(f"{x:.1f}", f"{y:.1f}", anchor, text)


def _fractions(top: float, *, is_whole: bool) -> tuple[float, ...]:
    """Where the lines of the scale lie: half-way too, unless that would be half a run."""
    return (0.0, 1.0) if is_whole and top % 2 else (0.0, 0.5, 1.0)


def _scale_line(top: float, fraction: float, unit: str) -> tuple[Markup, Markup]:
    y = _COLUMNS_BOTTOM - fraction * (_COLUMNS_BOTTOM - _COLUMNS_TOP)
    line = Markup('<line class="grid-line" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
        _COLUMNS_LEFT, _WIDTH, f"{y:.1f}", f"{y:.1f}"
    )
    return line, _text(_COLUMNS_LEFT - 6, y + 4, f"{_number(top * fraction)}{unit}", anchor="end")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _short(name: str) -> str:
    return name if len(name) <= NAME_CHARACTERS_MAX else f"{name[: NAME_CHARACTERS_MAX - 1]}…"
