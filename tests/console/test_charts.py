"""Charts: what they draw is what they were given, as SVG that a browser and a screen reader can read."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.charts import (
    COLUMNS_MAX,
    Bar,
    Column,
    Part,
    TooMany,
    bars,
    columns,
    compared_bar,
    nice_ceiling,
    stacked_bar,
)

HOSTILE = "</title><script>alert(1)</script>\"'&"


def _rects(svg: str, kind: str) -> list[ElementTree.Element]:
    # Our own text, parsed to see that it is well formed.
    return [one for one in ElementTree.fromstring(svg).iter("rect") if kind in one.attrib["class"].split()]


def test_parts_of_a_bar_fill_it_in_proportion() -> None:
    svg = stacked_bar([Part("ok", "applied", 75), Part("bad", "failed", 0), Part("warn", "stale", 25)], title="Of 100")
    widths = [float(one.attrib["width"]) for one in _rects(svg, "part")]
    assert len(widths) == 2
    assert widths[0] == pytest.approx(3 * widths[1])
    assert "75 applied, 25 stale" in svg


def test_one_failure_of_many_is_still_seen() -> None:
    svg = stacked_bar([Part("ok", "applied", 100_000), Part("bad", "failed", 1)], title="Of many")
    assert float(_rects(svg, "part--bad")[0].attrib["width"]) >= 1


def test_columns_stack_to_their_total() -> None:
    svg = columns([Column("Mon", (Part("ok", "good", 3), Part("bad", "bad", 2)))], title="Runs", description="Mon: 5")
    good, bad = _rects(svg, "part--ok")[0], _rects(svg, "part--bad")[0]
    assert float(bad.attrib["y"]) + float(bad.attrib["height"]) == pytest.approx(float(good.attrib["y"]))
    assert float(good.attrib["height"]) == pytest.approx(1.5 * float(bad.attrib["height"]), rel=0.01)


def test_a_scale_of_runs_has_no_half_runs() -> None:
    svg = columns([Column("Mon", (Part("ok", "good", 5),))], title="Runs", description="")
    assert ">2.5<" not in svg


def test_the_mark_stands_where_it_usually_ends() -> None:
    svg = compared_bar(10, 20, largest=20, title="took", kind="info")
    bar, mark = _rects(svg, "part")[0], _rects(svg, "mark")[0]
    assert float(mark.attrib["x"]) > 1.9 * float(bar.attrib["width"])


def test_every_chart_has_a_name_and_says_what_it_shows() -> None:
    drawn = [
        stacked_bar([], title="empty"),
        columns([], title="empty", description="no runs"),
        bars([], title="empty", description="nothing"),
        compared_bar(0, None, largest=0, title="empty", kind="info"),
    ]
    for svg in drawn:
        root = ElementTree.fromstring(svg)
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"].startswith("empty")


def test_hostile_names_stay_text() -> None:
    drawn = [
        stacked_bar([Part("ok", HOSTILE, 1)], title=HOSTILE),
        columns([Column(HOSTILE, (Part("ok", HOSTILE, 1),))], title=HOSTILE, description=HOSTILE),
        bars([Bar(HOSTILE, "bad", 1, HOSTILE)], title=HOSTILE, description=HOSTILE),
    ]
    for svg in drawn:
        assert "<script" not in svg
        assert all(one.tag != "script" for one in ElementTree.fromstring(svg).iter())


def test_a_chart_refuses_more_than_it_can_show() -> None:
    many = [Column(str(place), ()) for place in range(COLUMNS_MAX + 1)]
    with pytest.raises(TooMany, match=str(COLUMNS_MAX)):
        columns(many, title="Runs", description="")


@given(st.floats(min_value=0, max_value=1e12))
def test_the_top_of_the_scale_is_never_below_the_highest_column(value: float) -> None:
    top = nice_ceiling(value)
    assert top >= value
    assert top <= max(10 * value, 1)
