"""Turns a dashboard into Grafana's JSON: the same bytes for the same values, whatever the machine.

Places are computed from widths, from left to right; ids of panels follow from their order. It chooses no content. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from deploy.grafana.building.model import (
    WIDTH,
    Colour,
    Dashboard,
    Heatmap,
    Panel,
    Stat,
    StateTimeline,
    Table,
    Text,
    Thresholds,
    TimeSeries,
    Unit,
    Variable,
)

SCHEMA_VERSION: Final = 41
"""Grafana's own version of the form; later ones read earlier ones."""
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
FOLDER_TAG: Final = "aether"
MILLISECONDS: Final = 1000

type_of: Final[dict[type[Panel], str]] = {
    Stat: "stat",
    TimeSeries: "timeseries",
    Table: "table",
    StateTimeline: "state-timeline",
    Heatmap: "heatmap",
}


def render(dashboard: Dashboard) -> str:
    """The text of its file."""
    return json.dumps(document(dashboard), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def document(dashboard: Dashboard) -> dict[str, Any]:
    """Grafana's form of it."""
    return {
        "annotations": {"list": []},
        "description": dashboard.sentence,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "links": [
            {
                **{"asDropdown": True, "icon": "external link", "includeVars": True, "keepTime": True},
                **{"tags": [FOLDER_TAG], "targetBlank": False, "title": "Dashboards", "tooltip": ""},
                **{"type": "dashboards", "url": ""},
            },
            _link("Console", "${console_url}"),
            _link("Runbooks", "${runbooks_url}"),
        ],
        "panels": list(_panels(dashboard)),
        "refresh": dashboard.refresh,
        "schemaVersion": SCHEMA_VERSION,
        "tags": [FOLDER_TAG],
        "templating": {"list": [_datasource(), *(_variable(each) for each in (*dashboard.variables, *ADDRESSES))]},
        "time": {"from": dashboard.since, "to": "now"},
        "timezone": "browser",
        "title": f"Aether: {dashboard.title}",
        "uid": dashboard.uid,
        "version": 1,
    }


ADDRESSES: Final = (
    Variable(name="console_url", label="Console", value="http://127.0.0.1:8080"),
    Variable(name="runbooks_url", label="Runbooks", value="https://runbooks.example.org/alerts"),
)
"""Set once by whoever runs Grafana, in the settings of the dashboard's copy or by the address (`var-console_url`)."""


def _link(title: str, url: str) -> dict[str, Any]:
    return {
        **{"asDropdown": False, "icon": "external link", "includeVars": False, "keepTime": False, "tags": []},
        **{"targetBlank": True, "title": title, "tooltip": "", "type": "link", "url": url},
    }


def _datasource() -> dict[str, Any]:
    return {
        **{"hide": 0, "includeAll": False, "label": "Prometheus", "multi": False, "name": "datasource"},
        **{"options": [], "query": "prometheus", "refresh": 1, "regex": "", "skipUrlSync": False, "type": "datasource"},
    }


def _variable(variable: Variable) -> dict[str, Any]:
    if not variable.figure:
        return {
            **{"hide": 2, "label": variable.label, "name": variable.name, "query": variable.value},
            **{"current": {"text": variable.value, "value": variable.value}, "skipUrlSync": False, "type": "textbox"},
        }
    query = f"label_values({variable.figure}, {variable.name})"
    found: dict[str, Any] = {
        **{"datasource": DATASOURCE, "definition": query, "hide": 0, "includeAll": variable.is_many},
        **{"label": variable.label, "multi": variable.is_many, "name": variable.name, "options": []},
        **{"query": {"query": query, "refId": variable.name}, "refresh": 2, "regex": "", "sort": 1, "type": "query"},
    }
    del found["definition"]  # the form of Grafana's schema has none; it is made anew from `query`
    if variable.is_many:
        found |= {"allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}
    return found


def _panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in dashboard.rows:
        number += 1
        place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        yield {"collapsed": False, "gridPos": place, "id": number, "panels": [], "title": row.title, "type": "row"}
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            number += 1
            place = {"h": panel.height, "w": panel.width, "x": x, "y": y}
            yield {**_panel(panel), "gridPos": place, "id": number}
            x, height = x + panel.width, max(height, panel.height)
        y += height


def _panel(panel: Panel | Text) -> dict[str, Any]:
    if isinstance(panel, Text):
        options = {"content": panel.markdown, "mode": "markdown"}
        return {"options": options, "title": panel.title, "type": "text"}
    is_instant = isinstance(panel, Stat | Table)
    found: dict[str, Any] = {
        "datasource": DATASOURCE,
        "description": panel.sentence,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel),
        "targets": [
            {
                **{
                    "datasource": DATASOURCE,
                    "editorMode": "code",
                    "expr": expression(panel, number),
                    "refId": chr(65 + number),
                },
                **{"exemplar": query.has_exemplars, "instant": is_instant, "range": not is_instant},
                **{"format": _format(panel), "legendFormat": query.legend or "__auto"},
            }
            for number, query in enumerate(panel.queries)
        ],
        "title": panel.title,
        "type": type_of[type(panel)],
    }
    if isinstance(panel, Table):
        found["transformations"] = _transformations(panel)
    return found


def expression(panel: Panel, number: int) -> str:
    """A query as Grafana asks it: moments are milliseconds there."""
    units = panel.column_units if isinstance(panel, Table) else ()
    unit = units[number] if number < len(units) else panel.unit
    expr = panel.queries[number].expr
    return f"({expr}) * {MILLISECONDS}" if unit is Unit.SINCE else expr


def _format(panel: Panel) -> str:
    match panel:
        case Table():
            return "table"
        case Heatmap():
            return "heatmap"
        case _:
            return "time_series"


def _defaults(panel: Panel) -> dict[str, Any]:
    found: dict[str, Any] = {
        "color": {"mode": "thresholds" if isinstance(panel, Stat | StateTimeline | Table) else "palette-classic"},
        "custom": _custom(panel),
        "mappings": _mappings(panel.mappings) if isinstance(panel, Stat | StateTimeline) else [],
        "thresholds": _thresholds(panel.thresholds),
        "unit": str(panel.unit),
    }
    if panel.why_empty:
        found["noValue"] = "none"
    return found


def _thresholds(thresholds: Thresholds) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": str(thresholds.base), "value": None}]
    steps += [{"color": str(colour), "value": value} for value, colour in thresholds.steps]
    return {"mode": "absolute", "steps": steps}


def _mappings(words: tuple[tuple[int, str, Colour], ...]) -> list[dict[str, Any]]:
    if not words:
        return []
    options = {
        str(value): {"color": str(colour), "index": index, "text": text}
        for index, (value, text, colour) in enumerate(words)
    }
    return [{"options": options, "type": "value"}]


def _custom(panel: Panel) -> dict[str, Any]:
    match panel:
        case TimeSeries():
            return {
                **{"drawStyle": "line", "fillOpacity": 20 if panel.is_stacked else 5, "lineWidth": 1},
                **{"lineInterpolation": "stepAfter", "showPoints": "auto", "spanNulls": False},
                "stacking": {"group": "A", "mode": "normal" if panel.is_stacked else "none"},
                "thresholdsStyle": {"mode": "dashed" if panel.thresholds.steps else "off"},
            }
        case StateTimeline():
            return {"fillOpacity": 70, "lineWidth": 0}
        case Table():
            return {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
        case Heatmap():
            return {"scaleDistribution": {"type": "linear"}}
        case _:
            return {}


def _options(panel: Panel) -> dict[str, Any]:
    legend = {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True}
    tooltip = {"mode": "multi", "sort": "desc"}
    match panel:
        case Stat():
            return {
                **{"colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto"},
                **{"percentChangeColorMode": "standard", "showPercentChange": False, "wideLayout": True},
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "textMode": "auto",
            }
        case TimeSeries():
            return {"legend": legend, "tooltip": tooltip}
        case StateTimeline():
            return {
                **{"alignValue": "left", "mergeValues": True, "rowHeight": 0.9, "showValue": "auto"},
                **{
                    "legend": {**legend, "calcs": [], "displayMode": "list"},
                    "tooltip": {"mode": "single", "sort": "none"},
                },
            }
        case Table():
            footer = {"countRows": False, "reducer": ["sum"], "show": False}
            return {"cellHeight": "sm", "footer": footer, "frameIndex": 0, "showHeader": True}
        case Heatmap():
            return {
                **{"calculate": False, "cellGap": 1, "legend": {"show": True}, "showValue": "never"},
                "color": {
                    **{"exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": False},
                    **{"scale": "exponential", "scheme": "Oranges", "steps": 64},
                },
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "rowsFrame": {"layout": "auto"},
                "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": False},
                "yAxis": {"axisPlacement": "left", "reverse": False, "unit": str(panel.unit)},
            }
        case _:
            raise TypeError(f"no options are known for {type(panel).__name__}")


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    if not isinstance(panel, Table):
        return []
    found = []
    for number, query in enumerate(panel.queries):
        unit = panel.column_units[number] if number < len(panel.column_units) else panel.unit
        matcher = {"id": "byName", "options": query.legend}
        found.append({"matcher": matcher, "properties": [{"id": "unit", "value": str(unit)}]})
    return found


def _transformations(panel: Table) -> list[dict[str, Any]]:
    """Queries side by side, a row for each set of labels, the moment of the query left out."""
    one = len(panel.queries) == 1
    values = {("Value" if one else f"Value #{chr(65 + n)}"): query.legend for n, query in enumerate(panel.queries)}
    places = {label: number for number, label in enumerate(panel.labels)}
    organize = {"excludeByName": {"Time": True}, "indexByName": places, "renameByName": values}
    return [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
