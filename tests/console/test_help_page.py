"""The page of help, and the few marks of Markdown that it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.console.pages import helping
from services.console.pages.plain_markdown import html, inline, sections
from shared.failures import CATALOGUE
from shared.failures_document import PHASES
from tests.console.harness import ConsoleUnderTest


async def test_every_code_is_an_anchor_with_its_action(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/help")).text
        told = (await browser.get("/api/v1/failures")).json()["failures"]
    assert [one["code"] for one in told] == list(CATALOGUE)
    assert {one["phase"] for one in told} <= set(PHASES)
    for code in CATALOGUE:
        assert f'id="{code}"' in text
    assert all(one["runbook"] for one in told), [one["code"] for one in told if not one["runbook"]]
    assert "Not at hand in this installation" not in text


async def test_search_finds_codes_and_words_by_all_their_words(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/help", params={"q": "refused credential SRC_AUTH"})).text
        glossary = (await browser.get("/help", params={"q": "onboarding"})).text
        nothing = (await browser.get("/help", params={"q": "<script>x</script>"})).text
    assert 'id="SRC_AUTH"' in text
    assert 'id="SRC_UNREACHABLE"' not in text
    assert '<th scope="row">onboarding</th>' in glossary
    assert '<th scope="row">snapshot</th>' not in glossary
    assert "Nothing holds this text." in nothing
    assert "<script>x" not in nothing


async def test_installation_without_documents_says_so_and_shows_the_catalogue(
    under_test: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(helping, "DOCUMENTS", tmp_path)
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/help")).text
    assert "the runbook reading" in text
    assert "the glossary" in text
    assert 'id="SRC_AUTH"' in text


async def test_text_that_is_too_long_is_refused(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        assert (await browser.get("/help", params={"q": "x" * 101})).status_code == 422


async def test_help_is_for_people_who_signed_in(under_test: ConsoleUnderTest) -> None:
    async with under_test.nobody() as browser:
        assert (await browser.get("/help")).status_code == 303
        assert (await browser.get("/api/v1/failures")).status_code == 401


def test_list_paragraph_and_table_become_their_html() -> None:
    lines = ["One line", "goes on.", "", "- **See:** `aether show`", "  and look", "- second", "", "| a | b |",
             "|---|---|", "| 1 | *2* |"]  # fmt: skip
    assert html(lines, caption="Numbers") == (
        "<p>One line goes on.</p>\n"
        "<ul><li><strong>See:</strong> <code>aether show</code> and look</li><li>second</li></ul>\n"
        '<div class="scroll" tabindex="0" role="region" aria-label="Numbers"><table aria-label="Numbers">'
        '<thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead>'
        '<tbody><tr><th scope="row">1</th><td><em>2</em></td></tr></tbody></table></div>'
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>", "&lt;b&gt;"),
        ("`<script>`", "<code>&lt;script&gt;</code>"),
        ("[here](javascript:alert(1))", "here)"),
        ("[here](reading.md)", "here"),
        ('[here](https://example.org/"x)', '<a href="https://example.org/&#34;x" rel="noreferrer">here</a>'),
        ("**a** and **b", "<strong>a</strong> and **b"),
    ],
)
def test_no_mark_is_shown_that_is_not_made_here(text: str, shown: str) -> None:
    assert inline(text) == shown


def test_sections_keep_their_lines_in_order() -> None:
    assert list(sections("x\n# A\n1\n### B\n2\n3")) == [(0, "", ("x",)), (1, "A", ("1",)), (3, "B", ("2", "3"))]
