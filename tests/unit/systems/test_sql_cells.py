"""What a database driver returns, as columns of the declared types."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from shared.errors import StopRun
from shared.ports.system import Column
from shared.sql_reading import SqlSettings
from shared.sql_reading.cells import frame_of

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
    "url", ["postgresql+psycopg://u:hunter2@h/d", "mssql+pymssql://u@h/d", "postgresql://u@h/d", "hunter2"]
)
def test_address_with_password_or_unproven_driver_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SqlSettings(url=url)
    assert "hunter2" not in str(caught.value.errors(include_input=False))
