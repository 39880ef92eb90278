"""A certificate only for what is proven complete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.ports.system import ExpectedRows
from shared.records.certificate import (
    EMPTY_CHAIN_SHA256,
    Certificate,
    Incomplete,
    PageReceipt,
    certify,
    chain_of,
    chained,
)

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
PAGES = [
    PageReceipt(number=1, rows=100, first_cursor="1", last_cursor="100", sha256="a" * 64),
    PageReceipt(number=2, rows=20, first_cursor="101", last_cursor="120", sha256="b" * 64),
]


def judged(**changes: Any) -> Certificate | Incomplete:
    account: dict[str, Any] = {
        "side": "source",
        "connection": "hr",
        "system": "ocde_hr_sql",
        "entity": "people",
        "pages": PAGES,
        "expected": ExpectedRows(120, "count"),
        "errors": 0,
        "started_at": START,
        "ended_at": START + timedelta(seconds=2),
    }
    return certify(**account | changes)


def test_a_whole_reading_is_certified() -> None:
    certificate = judged()
    assert isinstance(certificate, Certificate)
    assert (certificate.rows, certificate.expected_rows, certificate.pages) == (120, 120, 2)
    assert (certificate.first_cursor, certificate.last_cursor, certificate.scope) == ("1", "120", "all")
    assert (certificate.started_at, certificate.ended_at) == ("2026-11-22T08:00:00.000Z", "2026-11-22T08:00:02.000Z")
    assert certificate.page_chain_sha256 == chained(chained(EMPTY_CHAIN_SHA256, "a" * 64), "b" * 64)
    assert Certificate.model_validate_json(certificate.model_dump_json()) == certificate


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"expected": ExpectedRows(121, "count")}, "hr/people: 120 rows read, 1 short of the 121 expected (count)"),
        ({"expected": ExpectedRows(100, "count")}, "hr/people: 120 rows read, 20 more than the 100 expected (count)"),
        ({"expected": None}, "hr/people: 120 rows read, but the other side does not say how many there are"),
        (
            {"pages": [], "expected": ExpectedRows(7, "total")},
            "hr/people: 0 rows read, 7 short of the 7 expected (total)",
        ),
        ({"pages": [], "expected": None}, "hr/people: 0 rows read, but the other side does not say how many there are"),
        ({"errors": 1}, "hr/people: 1 errors while reading, allowed none"),
        (
            {"pages": PAGES[1:], "expected": ExpectedRows(20, "x")},
            "hr/people: page 1 is missing; page 2 stands in its place",
        ),
        (
            {"pages": [PAGES[0], PAGES[0].model_copy(update={"number": 2})], "expected": ExpectedRows(200, "x")},
            "hr/people: page 2 repeats page 1",
        ),
    ],
)
def test_anything_less_is_not(changes: dict[str, Any], text: str) -> None:
    assert judged(**changes) == Incomplete("SRC_INCOMPLETE", text)


def test_nothing_is_certified_when_the_other_side_says_that_there_is_nothing() -> None:
    empty = PageReceipt(number=1, rows=0, first_cursor="", last_cursor="", sha256="c" * 64)
    certificate = judged(pages=[empty], expected=ExpectedRows(0, "total"))
    assert isinstance(certificate, Certificate)
    assert (certificate.rows, certificate.first_cursor, certificate.last_cursor) == (0, "", "")


def test_an_empty_page_at_the_end_moves_no_cursor() -> None:
    end = PageReceipt(number=3, rows=0, first_cursor="", last_cursor="", sha256="c" * 64)
    certificate = judged(pages=[*PAGES, end])
    assert isinstance(certificate, Certificate)
    assert certificate.last_cursor == "120"


def test_the_chain_depends_on_the_order_of_pages() -> None:
    assert chain_of(PAGES) != chain_of(PAGES[::-1])


def test_an_account_that_cannot_be_true_is_a_defect() -> None:
    with pytest.raises(ValueError, match="before it started"):
        judged(ended_at=START - timedelta(seconds=1))
