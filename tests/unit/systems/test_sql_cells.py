"""What a database driver returns, as columns of the declared types."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.errors import StopRun
from shared.ports.system import Column
from shared.sql_reading import SqlSettings
from shared.sql_reading.cells import _CONVERTERS, frame_of

NAIVE = datetime.fromisoformat("2026-01-02T03:04:05.678")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "a  ", "a"),
        ("text", "  ", ""),
        ("text", "a\t ", "a\t"),
        ("text", 7, "7"),
        ("text", uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("integer", Decimal("7.00"), 7),
        ("integer", "007 ", 7),
        ("integer", True, 1),
        ("boolean", 1, True),
        ("boolean", False, False),
        ("boolean", "N ", False),
        ("decimal", Decimal("0.5000"), "0.5"),
        ("decimal", 0.8, "0.8"),
        ("decimal", Decimal("1E+3"), "1000"),
        ("decimal", 100, "100"),
        ("date", NAIVE, "2026-01-02"),
        ("date", date(2026, 1, 2), "2026-01-02"),
        ("date", "2026-01-02 00:00:00.000000", "2026-01-02"),
        ("date", "next week", "next week"),
        ("datetime", NAIVE, "2026-01-02T03:04:05.678000"),
        ("datetime", "2026-01-02 03:04:05", "2026-01-02T03:04:05.000000"),
        ("datetime", datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00.000000+00:00"),
        ("datetime", datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=-8))), "2026-01-02T11:00:00.000000+00:00"),
    ],
)
def test_value_has_one_form(kind: Any, value: object, expected: object) -> None:
    frame = frame_of([(value,), (None,)], [Column("c", kind)], entity="e")
    assert frame["c"].to_list() == [expected, None]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", b"secret"),
        ("text", 1.5),
        ("integer", "secret"),
        ("integer", 1.5),
        ("integer", 2**64),
        ("boolean", 2),
        ("boolean", "secret"),
        ("decimal", Decimal("NaN")),
        ("date", 20260102),
    ],
)
def test_value_of_another_kind_is_refused_without_showing_it(kind: Any, value: object) -> None:
    with pytest.raises(StopRun, match="column c") as caught:
        frame_of([(value,)], [Column("c", kind)], entity="e")
    assert caught.value.code == "SRC_WRONG_SHAPE"
    assert "secret" not in caught.value.message


def test_frame_without_rows_has_columns_and_types() -> None:
    frame = frame_of([], [Column("a", "text"), Column("b", "integer"), Column("c", "boolean")], entity="e")
    assert dict(frame.schema) == {"a": pl.String(), "b": pl.Int64(), "c": pl.Boolean()}


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u:hunter2@h/d", "mssql+pyodbc://u@h/d", "postgresql://u@h/d", "hunter2"]
)
def test_address_with_password_or_unproven_driver_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SqlSettings(url=url)
    assert "hunter2" not in str(caught.value.errors(include_input=False))


MOMENTS = st.datetimes(datetime.fromisoformat("1000-01-01"), datetime.fromisoformat("9999-12-31"))
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=5) | st.just("a  "),
    "integer": st.integers(-(2**63) + 1, 2**63 - 1),
    "boolean": st.booleans() | st.integers(0, 1),
    "decimal": st.integers(-9, 9) | st.decimals(-9, 9, places=2) | st.sampled_from([0.5, 1.0, 1]),
    "date": MOMENTS.map(lambda moment: moment.date())
    | st.sampled_from(["2026-02-30", "2026-02-28", "soon", "2026-01-02 00:00:00", "0000-01-01", ""]),
    "datetime": MOMENTS
    | MOMENTS.map(str)
    | st.sampled_from(["2026-02-30 00:00:00.000000", "2026-02-28 07:00:00.000000", "2026-02-28T07:00:00.000001", "x"]),
}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(CELLS)).flatmap(lambda kind: st.tuples(st.just(kind), st.lists(st.none() | CELLS[kind]))))
def test_column_is_converted_as_each_of_its_values_is(drawn: tuple[Any, list[object]]) -> None:
    kind, values = drawn
    column = Column("c", kind)
    whole = frame_of([(value,) for value in values], [column], entity="e")["c"].to_list()
    # A value that no driver gives for the kind makes the whole column go the slow way.
    each = [None if value is None else _CONVERTERS[kind](value) for value in values]
    assert whole == each
