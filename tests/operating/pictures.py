"""`python -m tests.operating.pictures FOLDER`: plays a house and draws what its dashboards show, as SVG.

The data are those of a real Prometheus that scraped the house; the drawing is ours, and no screenshot of Grafana:
places and kinds of panels are those of the dashboards, colours and fonts are not. Needs Debian's prometheus.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any, Final

from deploy.grafana.boards import DASHBOARDS
from deploy.grafana.building.model import (
    Colour,
    Dashboard,
    Heatmap,
    Panel,
    Stat,
    StateTimeline,
    Table,
    Text,
    Unit,
)
from deploy.grafana.building.rendering import document
from tests.operating.asking import Series, series_of
from tests.operating.prometheus import why_not
from tests.operating.watched import Watched, watched_house

COLUMN: Final = 50
LINE: Final = 34
GAP: Final = 6
SETTLED_SECONDS: Final = 20
SERIES_MAX: Final = 8
LINES: Final = ("#3274d9", "#e0752d", "#37872d", "#c4162a", "#8f3bb8", "#b38a00", "#0a7a83", "#705da0")
FILLS: Final = {
    Colour.GOOD: "#37872d",
    Colour.WARNING: "#d9730d",
    Colour.BAD: "#c4162a",
    Colour.QUIET: "#3274d9",
    Colour.NOTHING: "#3b4252",
}


def told(value: float, unit: Unit) -> str:
    """A number with its unit, as short as it stays true."""
    match unit:
        case Unit.SECONDS:
            return _spoken_seconds(value)
        case Unit.SINCE:
            ago = time.time() - value
            return f"{_spoken_seconds(ago)} ago" if ago >= 0 else f"in {_spoken_seconds(-ago)}"
        case Unit.SHARE:
            return f"{value * 100:.3g} %"
        case Unit.BYTES:
            power = min(int(math.log(value, 1024)), 4) if value >= 1 else 0
            return f"{value / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
        case Unit.PER_SECOND | Unit.REQUESTS_PER_SECOND:
            return f"{value:.3g}/s"
        case _:
            return f"{value:.4g}"


def _spoken_seconds(value: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} s" if abs(value) >= 1 else f"{value * 1000:.3g} ms"


def named(legend: str, metric: dict[str, str]) -> str:
    """What a series is called, by the legend of its query."""
    for label, value in metric.items():
        legend = legend.replace(f"{{{{{label}}}}}", value)
    return legend or "value"


def drawn(dashboard: Dashboard, data: dict[str, list[Series]]) -> str:
    """The picture of one dashboard; `data` by title of the panel, a list for each query."""
    places = {panel["title"]: panel["gridPos"] for panel in document(dashboard)["panels"]}
    height = max(place["y"] + place["h"] for place in places.values()) * LINE + 60
    width = 24 * COLUMN + 2 * GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f"<title>{escape(dashboard.title)}: {escape(dashboard.sentence)}</title>",
        f'<rect width="{width}" height="{height}" fill="#f4f5f7"/>',
        _text(GAP + 4, 24, f"Aether: {dashboard.title}", size=18, weight="bold"),
        _text(GAP + 4, 44, dashboard.sentence, fill="#5a6270"),
    ]
    for row in dashboard.rows:
        parts.append(_text(GAP + 4, 60 + places[row.title]["y"] * LINE + 20, row.title, size=14, weight="bold"))
        for panel in row.panels:
            place = places[panel.title]
            x, y = GAP + place["x"] * COLUMN, 60 + place["y"] * LINE
            w, h = place["w"] * COLUMN - GAP, place["h"] * LINE - GAP
            parts.append(f'<svg x="{x}" y="{y}" width="{w}" height="{h}">')
            parts.append(f'<rect width="{w}" height="{h}" rx="3" fill="#ffffff" stroke="#d8dbe0"/>')
            parts.append(_text(8, 17, panel.title, weight="bold"))
            parts.extend(_inside(panel, data.get(panel.title, []), w=w, h=h))
            parts.append("</svg>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _inside(panel: Panel | Text, found: list[Series], *, w: int, h: int) -> Iterator[str]:
    if isinstance(panel, Text):
        words = panel.markdown.replace("**", "").replace("`", "")
        for number, line in enumerate(_wrapped(words, w // 6)):
            yield _text(8, 38 + number * 16, line)
        return
    if not any(found):
        yield _text(8, h / 2, "no data", fill="#5a6270")
        for number, line in enumerate(_wrapped(panel.why_empty, max(w // 6, 10))):
            yield _text(8, h / 2 + 16 + number * 14, line, fill="#5a6270", size=11)
        return
    match panel:
        case Stat():
            yield from _stat(panel, found, w=w, h=h)
        case Table():
            yield from _table(panel, found, w=w, h=h)
        case StateTimeline():
            yield from _bands(panel, found, w=w, h=h)
        case Heatmap():
            yield from _cells(panel, found[0], w=w, h=h)
        case _:
            yield from _curves(panel, found, w=w, h=h)


def _stat(panel: Stat, found: list[Series], *, w: int, h: int) -> Iterator[str]:
    shown = [
        (named(query.legend, one["metric"]), float(one["value"][1]))
        for query, series in zip(panel.queries, found, strict=True)
        for one in series
    ][:4]
    words = {value: (text, colour) for value, text, colour in panel.mappings}
    for number, (name, value) in enumerate(shown):
        text, colour = words.get(int(value), ("", None)) if panel.mappings else ("", None)
        fill = FILLS[colour or _threshold(panel, value)]
        middle = 26 + (h - 30) * (number + 0.5) / len(shown)
        size = min(30, max(13, int((h - 40) / len(shown) * 0.55)))
        if len(shown) > 1:
            yield _text(8, middle + 4, _cut(name, w * 0.5), size=11, fill="#5a6270")
        yield _text(w - 10, middle + size * 0.35, text or told(value, panel.unit), size=size, fill=fill, anchor="end")


def _threshold(panel: Panel, value: float) -> Colour:
    colour = panel.thresholds.base
    for step, above in panel.thresholds.steps:
        colour = above if value >= step else colour
    return colour


def _table(panel: Table, found: list[Series], *, w: int, h: int) -> Iterator[str]:
    cells: dict[tuple[str, ...], dict[int, float]] = {}
    for number, series in enumerate(found):
        for one in series:
            key = tuple(one["metric"].get(label, "") for label in panel.labels)
            cells.setdefault(key, {})[number] = float(one["value"][1])
    heads = [*panel.labels, *(query.legend for query in panel.queries)]
    wide = w / len(heads)
    for number, head in enumerate(heads):
        yield _text(8 + number * wide, 38, _cut(head, wide), fill="#5a6270", size=11)
    for line, (key, values) in enumerate(sorted(cells.items())[: max(int((h - 46) // 18), 0)]):
        y = 56 + line * 18
        yield f'<line x1="8" x2="{w - 8}" y1="{y - 13}" y2="{y - 13}" stroke="#e6e8eb"/>'
        for number, label in enumerate(key):
            yield _text(8 + number * wide, y, _cut(label, wide))
        for number in range(len(panel.queries)):
            unit = panel.column_units[number] if number < len(panel.column_units) else panel.unit
            text = told(values[number], unit) if number in values else ""
            yield _text(8 + (len(key) + number) * wide, y, text)


def _bands(panel: StateTimeline, found: list[Series], *, w: int, h: int) -> Iterator[str]:
    series = [
        (named(query.legend, one["metric"]), one["values"])
        for query, each in zip(panel.queries, found, strict=True)
        for one in each
    ][:SERIES_MAX]
    begin, end = _span(values for _, values in series)
    words = {value: (text, colour) for value, text, colour in panel.mappings}
    left, high = 150, (h - 36) / max(len(series), 1)
    for number, (name, values) in enumerate(series):
        y = 28 + number * high
        yield _text(8, y + high / 2 + 4, _cut(name, left - 12), size=11)
        for at, until, value in _stretches(values):
            text, colour = words.get(int(value), (f"{value:g}", Colour.NOTHING))
            x = left + (at - begin) / (end - begin) * (w - left - 10)
            wide = max((until - at) / (end - begin) * (w - left - 10), 2)
            yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high * 0.8:.1f}" fill="{FILLS[colour]}"/>'
            if wide > 8 * len(text):
                yield _text(x + 4, y + high * 0.4 + 4, text, fill="#ffffff", size=11)


def _stretches(values: list[tuple[float, str]]) -> Iterator[tuple[float, float, float]]:
    """Times of the same value, joined; a gap of more than three steps parts them."""
    step = min((b[0] - a[0] for a, b in itertools.pairwise(values)), default=1.0)
    begin, last, value = values[0][0], values[0][0], float(values[0][1])
    for at, text in values[1:]:
        if float(text) != value or at - last > 3 * step:
            yield begin, at if at - last <= 3 * step else last + step, value
            begin, value = at, float(text)
        last = at
    yield begin, last + step, value


def _cells(panel: Heatmap, series: Series, *, w: int, h: int) -> Iterator[str]:
    """Buckets are cumulative: what lies in one is what it has more than the one below."""
    rows = sorted(series, key=lambda one: float(one["metric"]["le"]))
    at = sorted({float(point[0]) for one in rows for point in one["values"]})
    counts = [{float(a): float(b) for a, b in one["values"]} for one in rows]
    inside = [
        {a: max(upper.get(a, 0.0) - (counts[number - 1].get(a, 0.0) if number else 0.0), 0.0) for a in at}
        for number, upper in enumerate(counts)
    ]
    top = max((value for one in inside for value in one.values()), default=0) or 1
    left, wide, high = 60, (w - 70) / max(len(at), 1), (h - 40) / max(len(rows), 1)
    for number, one in enumerate(inside):
        y = h - 12 - (number + 1) * high
        bound = rows[number]["metric"]["le"]
        label = "more" if bound == "+Inf" else told(float(bound), panel.unit)
        if number % max(int(14 // high) + 1, 1) == 0:
            yield _text(left - 6, y + high / 2 + 4, label, size=10, anchor="end", fill="#5a6270")
        for place, moment in enumerate(at):
            if one[moment] > 0:
                shade = 0.15 + 0.85 * math.sqrt(one[moment] / top)
                x = left + place * wide
                yield (
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide + 0.3:.1f}" height="{high:.1f}"'
                    f' fill="#e0752d" fill-opacity="{shade:.2f}"/>'
                )


def _curves(panel: Panel, found: list[Series], *, w: int, h: int) -> Iterator[str]:
    series = [
        (named(query.legend, one["metric"]), [(float(a), float(b)) for a, b in one["values"] if b != "NaN"])
        for query, each in zip(panel.queries, found, strict=True)
        for one in each
    ]
    series = sorted(((name, values) for name, values in series if values), key=lambda one: -max(b for _, b in one[1]))
    shown = series[:SERIES_MAX]
    begin, end = _span(values for _, values in shown)
    top = max((value for _, values in shown for _, value in values), default=0) or 1
    legend = min(len(shown), 4) * 14 + 4
    left, low = 56, h - legend - 14
    for share in (0, 0.5, 1):
        y = low - share * (low - 34)
        yield f'<line x1="{left}" x2="{w - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e6e8eb"/>'
        yield _text(left - 6, y + 4, told(top * share, panel.unit), size=10, anchor="end", fill="#5a6270")
    for number, (name, values) in enumerate(shown):
        points = " ".join(
            f"{left + (at - begin) / (end - begin) * (w - left - 10):.1f},{low - value / top * (low - 34):.1f}"
            for at, value in values
        )
        colour = LINES[number % len(LINES)]
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        column, line = divmod(number, 4)
        x, y = 10 + column * (w - 10) / 2, h - legend + line * 14 + 6
        yield f'<rect x="{x:.1f}" y="{y - 5:.1f}" width="10" height="3" fill="{colour}"/>'
        last = told(values[-1][1], panel.unit)
        yield _text(x + 15, y, _cut(f"{name}  {last}", (w - 10) / (2 if len(shown) > 4 else 1) - 20), size=11)


def _span(many: Iterable[list[Any]]) -> tuple[float, float]:
    at = [float(point[0]) for values in many for point in values]
    return (min(at), max(max(at), min(at) + 1)) if at else (0.0, 1.0)


def _wrapped(text: str, characters: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= characters:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    if line:
        yield line


def _cut(text: str, pixels: float) -> str:
    most = max(int(pixels / 6.2), 3)
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    fill: str = "#22262e",
    weight: str = "normal",
    anchor: str = "start",
) -> str:
    more = "" if weight == "normal" else f' font-weight="{weight}"'
    more += "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}"{more}>{escape(text)}</text>'


HEAD: Final = """\
# Dashboards

Written by `make dashboard-pictures`; do not edit. The pictures are **no screenshots of Grafana**: they are drawn from
what a real Prometheus answered to the very queries of the dashboards, after it had scraped a demonstration for two
minutes. Places and kinds of panels are those of the dashboards; in Grafana colours, fonts and legends are others.

The dashboards are made by `deploy/grafana/boards` and lie, as Grafana reads them, in `deploy/grafana/dashboards`. They
hold figures of [the table](../figures.md) only. What is behind an alert is told in
[the runbooks](../runbooks/alerts/README.md). Two addresses are variables of each dashboard: `console_url` and
`runbooks_url`.
"""


def listed() -> str:
    """The page that holds the pictures and the sentence of each panel."""
    parts = [HEAD]
    for dashboard in DASHBOARDS:
        parts.append(f"## {dashboard.title}\n\n{dashboard.sentence}\n\n![{dashboard.title}]({dashboard.uid}.svg)\n")
        for row in dashboard.rows:
            rows = [
                f"| {panel.title} | {panel.sentence}{f' Empty: {panel.why_empty}' if panel.why_empty else ''} |"
                for panel in row.panels
                if isinstance(panel, Panel)
            ]
            if rows:
                parts.append("\n".join([f"| {row.title} | what one sees |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


async def _data(watched: Watched, dashboard: Dashboard) -> dict[str, list[Series]]:
    return {
        panel.title: [await series_of(watched, panel, query) for query in panel.queries]
        for panel in dashboard.panels()
        if isinstance(panel, Panel)
    }


async def _pictures(folder: Path) -> dict[Path, str]:
    async with watched_house(folder) as watched:
        await asyncio.sleep(SETTLED_SECONDS)
        return {
            Path(f"{dashboard.uid}.svg"): drawn(dashboard, await _data(watched, dashboard)) for dashboard in DASHBOARDS
        }


def main(arguments: list[str]) -> int:
    """Draw all of them."""
    reason = why_not("prometheus")
    if reason is not None or len(arguments) != 1:
        sys.stderr.write(f"{reason or 'name the folder of the pictures'}\n")
        return 1
    target = Path(arguments[0])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="aether-dashboards-") as folder:
        for name, text in asyncio.run(_pictures(Path(folder))).items():
            (target / name).write_text(text, encoding="utf-8")
            sys.stdout.write(f"{target / name}\n")
    (target / "README.md").write_text(listed(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
