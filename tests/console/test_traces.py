"""The page of a run leads to the run's trace, and to nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from services.console.pages.run import shown
from services.console.pages.run_view import run_page
from services.console.rendering import Templates
from services.console.settings import ConsoleSettings
from shared.clock import SystemClock
from shared.events.queries import RunAnswer, RunView

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FIELD = ConsoleSettings.model_fields["trace_url"]
URL: TypeAdapter[str | None] = TypeAdapter(FIELD.rebuild_annotation())


def head(trace: str | None, *, url: str | None) -> str:
    """The head of a run's page."""
    view = RunView(
        run="20260110T110000-abcdef", connector="c", connector_version="1.0.0", mode="apply", status="applying",
        requester="olga", requested_at="2026-01-10T11:00:00.000Z", changed_at="2026-01-10T11:30:00.000Z", plan=None,
        approvers=(), counts=None, failure=None, is_sealed=False, trace=trace,
    )  # fmt: skip
    model = run_page(RunAnswer(run=view), usual={}, entries=None, now=NOW)
    templates = Templates(time_zone="America/Los_Angeles", clock=SystemClock(), trace_url=url)
    return templates.render("_run_head.html", **shown(model))


def test_the_page_of_a_run_links_to_its_trace_where_the_district_has_a_place_for_traces() -> None:
    page = head(TRACE, url="https://tempo.example.org/trace/{trace_id}?a=1&b=2")
    assert f'<a href="https://tempo.example.org/trace/{TRACE}?a=1&amp;b=2" rel="noopener noreferrer">' in page


def test_the_page_of_a_run_names_its_trace_without_such_a_place() -> None:
    page = head(TRACE, url=None)
    assert TRACE in page and page.count("<a ") == head(None, url=None).count("<a ")


def test_a_run_without_a_trace_says_nothing_of_one() -> None:
    assert "Trace" not in head(None, url="https://tempo.example.org/trace/{trace_id}")


@pytest.mark.parametrize(
    "url", ["https://t.example/{trace_id}", "http://t:16686/trace/{trace_id}?x=%7B%22a%22%7D", None]
)
def test_an_address_of_traces_is_taken(url: str | None) -> None:
    assert URL.validate_python(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert('{trace_id}')", "//t.example/{trace_id}", "https://t.example/", "https://{trace_id}",
        "https://t.example/{trace_id}/{trace_id}", 'https://t.example/"{trace_id}', "https://t.example/ {trace_id}",
        "https://t.example/<{trace_id}>", "data:text/html,{trace_id}", "https://t.example/{trace_id}\n",
    ],
)  # fmt: skip
def test_what_is_no_address_of_the_web_with_one_trace_in_it_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        URL.validate_python(url)
