"""The JSON API keeps to its own description, for every role: schemathesis makes the requests and judges the answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.console.visiting import COOKIE
from tests.console.every_route import ROLES, close, whole_console
from tests.console.harness import CSRF, ORIGIN, ConsoleUnderTest

EXAMPLES = 8
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def application_of(made: ConsoleUnderTest) -> FastAPI:
    """The application, without what stands around it."""
    app = made.app
    while not isinstance(app, FastAPI):
        app = app._app
    return app


@pytest.mark.parametrize("role", [*ROLES, None])
def test_answers_are_as_the_description_says(house_data: Path, tmp_path: Path, role: str | None) -> None:
    made = asyncio.run(whole_console(house_data, tmp_path))
    cookie = f"viewer:{role or ''}!"
    document: dict[str, Any] = application_of(made).openapi()
    schema = schemathesis.openapi.from_dict(document)
    schema.app = made.app
    faults: Counter[str] = Counter()
    asked = 0
    try:
        for result in schema.get_all_operations():
            assert isinstance(result, Ok), result
            operation = result.ok()

            @seed(20261122)
            @settings(
                max_examples=EXAMPLES, deadline=None, database=None, phases=(Phase.explicit, Phase.generate),
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy())
            def ask(case: Any) -> None:
                nonlocal asked
                asked += 1
                case.headers = {**(case.headers or {}), "x-csrf-token": CSRF, "origin": ORIGIN}
                case.cookies = {COOKIE: cookie}
                answer = case.call(base_url=ORIGIN)
                try:
                    case.validate_response(answer, checks=CHECKS)
                except BaseException as fault:  # noqa: BLE001 - groups of faults come too; all are told below
                    faults[f"{case.method} {case.path}: {answer.status_code}: {str(fault)[:600]}"] += 1

            ask()
    finally:
        asyncio.run(close(made))
    assert asked > len(document["paths"])
    assert not faults, "\n\n".join(faults)
