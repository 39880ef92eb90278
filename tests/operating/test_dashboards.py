"""Dashboards: what the builder refuses, that the files are current, and that Grafana's own schema takes them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.grafana.boards import DASHBOARDS
from deploy.grafana.building.model import Dashboard, Panel, Query, Refused, Row, Stat, Thresholds, Unit
from deploy.grafana.building.queries import RefusedQuery, check_query, family_of, figures_of
from deploy.grafana.building.rendering import document, render
from deploy.grafana.write import FOLDER, documents, main
from shared.telemetry.figures import FIGURES
from tests.operating.pictures import drawn, listed

ROOT: Final = Path(__file__).resolve().parents[2]
CHECK: Final = ROOT / "deploy/grafana/check"
GOOD: Final = "sum(aether_audit_lag)"


def stat(**values: Any) -> Stat:
    return Stat(
        **({"title": "Lag", "sentence": "What lags.", "unit": Unit.NUMBER, "queries": (Query(expr=GOOD),)} | values)
    )


@pytest.mark.parametrize(
    "values", [{"title": " "}, {"sentence": ""}, {"sentence": "no end"}, {"unit": "short"}, {"queries": ()}]
)
def test_a_panel_without_title_sentence_unit_or_query_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        stat(**values)


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("sum(aether_audit_lagg)", "not in the table"),
        ('aether_audit_lag{run="r1"}', "no label run"),
        ("sum by (person) (aether_audit_lag)", "the label person"),
        ("aether_run_seconds", "not in the table"),
        ("aether_audit_lag_bucket", "not in the table"),
        ('{stream="CORE"}', "without the name"),
        ("aether:no:rule", "no rule"),
        ("vector(1)", "names no figure"),
    ],
)
def test_a_query_with_what_no_program_gives_is_refused(query: str, what: str) -> None:
    with pytest.raises(RefusedQuery, match=what):
        check_query(query)


def test_a_query_of_the_table_passes_with_buckets_spans_offsets_and_strings() -> None:
    check_query(
        'histogram_quantile(0.95, sum by (le, phase) (rate(aether_run_phase_seconds_bucket{connector=~"a, {b}"}[5m])))'
        " > 1e3"
        " unless on (connector) max_over_time(aether_guard_level[1h] offset 5m)"
    )
    assert figures_of('rate(aether_runs_ended_total{status="up"}[5m]) / 2') == ("aether_runs_ended_total",)
    row = family_of("aether_run_seconds_count")
    assert row is not None
    assert row.name == "aether_run_seconds"


def test_thresholds_that_do_not_rise_and_variables_nobody_declared_are_refused() -> None:
    from deploy.grafana.building.model import Colour

    with pytest.raises(Refused, match="do not rise"):
        Thresholds(((2, Colour.BAD), (1, Colour.GOOD)))
    panel = stat(queries=(Query(expr='sum(aether_unknown_effects{connector="$connector"})'),))
    with pytest.raises(Refused, match=r"\$connector"):
        Dashboard(uid="aether-x", title="X", sentence="X.", rows=(Row("r", (panel,)),))
    with pytest.raises(Refused, match="two panels"):
        Dashboard(uid="aether-x", title="X", sentence="X.", rows=(Row("r", (stat(), stat())),))


def test_the_files_are_what_the_dashboards_say(tmp_path: Path) -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()} == documents(), (
        "run `python -m deploy.grafana.write`"
    )
    assert main([str(tmp_path)]) == 0
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == documents()


def test_panels_have_ids_of_their_own_and_do_not_lie_upon_each_other() -> None:
    for dashboard in DASHBOARDS:
        panels = document(dashboard)["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, f"{dashboard.title}: {panel['title']}"
            assert max(x for x, _ in cells) < 24
            taken |= cells
        assert render(dashboard) == render(dashboard)


def test_figures_of_the_monitor_are_counted_once_however_many_monitors_run() -> None:
    """Each monitor gives the same figures, so a sum over programs would double them."""
    of_monitor = {figure.name for figure in FIGURES if figure.service == "monitor"} - {"aether_notices_total"}
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels():
            for query in panel.queries if isinstance(panel, Panel) else ():
                if not any(row.name in of_monitor for name in figures_of(query.expr) if (row := family_of(name))):
                    continue
                for inside in re.findall(r"sum(?: by \([^)]*\))? ?\((\(*\w+)", query.expr):
                    assert inside.lstrip("(") in ("max", "min"), f"{panel.title}: {query.expr}"


def test_every_figure_of_runs_and_bus_stands_on_a_dashboard_or_in_an_alert() -> None:
    from deploy.prometheus.alerting import GROUPS

    shown = {
        row.name
        for expr in (
            *(
                query.expr
                for board in DASHBOARDS
                for panel in board.panels()
                if isinstance(panel, Panel)
                for query in panel.queries
            ),
            *(expr for group in GROUPS for expr in group.expressions()),
        )
        for name in figures_of(expr)
        if (row := family_of(name)) is not None
    }
    assert {figure.name for figure in FIGURES} - shown == set()


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The check with its packages, which npm fetches; skips where there is no Node or no registry."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine (Debian: apt install nodejs npm)")
    folder = tmp_path_factory.mktemp("check")
    for name in ("package.json", "package-lock.json", "check.mjs"):
        shutil.copy(CHECK / name, folder / name)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm cannot fetch @grafana/schema within a minute")
    if done.returncode != 0:
        pytest.skip(f"npm cannot fetch @grafana/schema: {done.stderr[-200:]}")
    return folder


def _check(folder: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    command = ["node", "check.mjs", *map(str, files)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_grafanas_own_schema_takes_every_dashboard(checker: Path) -> None:
    done = _check(checker, *sorted(FOLDER.glob("*.json")))
    assert done.returncode == 0, done.stderr
    assert f"{len(DASHBOARDS)} dashboards fit" in done.stdout


@pytest.mark.slow
def test_grafanas_own_schema_refuses_a_dashboard_that_is_wrong(checker: Path, tmp_path: Path) -> None:
    """What is wrong in four ways is refused for four reasons; else the check would prove nothing."""
    wrong = document(DASHBOARDS[0])
    panels = {panel["title"]: panel for panel in wrong["panels"]}
    panels["Held"]["options"]["colorMode"] = "shiny"
    panels["Paused"]["fieldConfig"]["defaults"]["unit"] = 5
    panels["Verdicts"]["options"]["rowHight"] = 2
    panels["Runs that ended"]["fieldConfig"]["defaults"]["custom"]["drawStyle"] = "scribble"
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(wrong), encoding="utf-8")
    done = _check(checker, path)
    assert done.returncode == 1
    for word in ("shiny", "Type 'number' is not assignable to type 'string'", "rowHight", "scribble"):
        assert word in done.stderr, done.stderr


def test_the_page_of_pictures_says_what_the_dashboards_say_and_shows_each() -> None:
    folder = ROOT / "docs/dashboards"
    assert (folder / "README.md").read_text(encoding="utf-8") == listed(), "run `make dashboard-pictures`"
    for dashboard in DASHBOARDS:
        picture = (folder / f"{dashboard.uid}.svg").read_text(encoding="utf-8")
        for panel in dashboard.panels():
            assert escape(panel.title) in picture, f"{dashboard.title}: {panel.title} is not drawn"


def test_a_picture_draws_what_was_measured_and_says_where_there_is_nothing() -> None:
    panel = stat()
    empty = stat(title="Alarms", why_empty="Nothing was forged.")
    dashboard = Dashboard(uid="aether-x", title="X", sentence="X.", rows=(Row("r", (panel, empty)),))
    picture = drawn(dashboard, {"Lag": [[{"metric": {}, "value": [0, "4711"]}]], "Alarms": [[]]})
    assert ">4711<" in picture
    assert ">no data<" in picture
    assert "Nothing was forged." in picture
