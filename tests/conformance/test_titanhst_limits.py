"""What TitanHST's headers say about rates, read in every form that is known; what makes no sense says nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.limits import RETRY_AFTER_SECONDS_MAX, allowance_of, retry_after_of
from shared.ports.pacing import Allowance
from shared.ports.registry import installed_systems_folder
from shared.ports.yaml_document import read_yaml
from systems.http.description import HttpInterface

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
INTERFACE = read_yaml(installed_systems_folder() / "titanhst" / "http.yaml")
DESCRIBED = HttpInterface.model_validate(dict(INTERFACE)).allowance


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"RateLimit-Remaining": "7", "RateLimit-Reset": "3"}, Allowance(7, 3.0)),
        ({"ratelimit-remaining": " 7 ", "ratelimit-reset": "3"}, Allowance(7, 3.0)),
        ({"RateLimit": '"default";r=50;t=30'}, Allowance(50, 30.0)),
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, Allowance(50, 5.0)),
        ({"X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "60"}, Allowance(9, 60.0)),
        ({"X-RateLimit-Remaining": "9", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 45)}, Allowance(9, 45.0)),
        (
            {
                "RateLimit-Remaining": "7",
                "RateLimit-Reset": "3",
                "X-RateLimit-Remaining": "1",
                "X-RateLimit-Reset": "1",
            },
            Allowance(7, 3.0),
        ),
        ({"RateLimit-Remaining": "7"}, None),
        ({"RateLimit-Remaining": "-7", "RateLimit-Reset": "3"}, None),
        ({"RateLimit-Remaining": "many", "RateLimit-Reset": "soon"}, None),
        ({"RateLimit-Remaining": "9" * 40, "RateLimit-Reset": "3"}, None),
        ({"RateLimit": "abstract;cart=3"}, None),
        ({}, None),
    ],
)
def test_what_is_left_is_read_from_each_known_form(headers: dict[str, str], expected: Allowance | None) -> None:
    assert allowance_of(httpx.Headers(headers), DESCRIBED, now=NOW) == expected


@given(
    st.text(st.characters(max_codepoint=255), max_size=60),
    st.sampled_from(["RateLimit", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Reset"]),
)
def test_no_header_is_a_reason_to_fail(text: str, name: str) -> None:
    headers = {"RateLimit-Remaining": "1", "X-RateLimit-Remaining": "1", name: text}
    allowance_of(headers, DESCRIBED, now=NOW)
    seconds = retry_after_of(text, now=NOW)
    assert seconds is None or 0 <= seconds <= RETRY_AFTER_SECONDS_MAX
