"""Hostile values from vendors, sources and people: pages show them as text, and stay the pages that they were."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.console.every_route import ROLES, Route, close, routes, whole_console
from tests.console.harness import CSRF, ConsoleUnderTest
from tests.console.hostile_record import HOSTILE, answer_with, honest, poison
from tests.console.test_security import Elements, faults_of

LOOKED_AT = frozenset(
    {"POST /runs/{run}/plan/choose", "POST /runs/{run}/plan/changes/{change_id}/reveal", "POST /person",
     "POST /systems/connections/{name}/check", "POST /data/{table}/{row_id}/reveal"}
)  # fmt: skip
"""Forms that answer with a page."""


@asynccontextmanager
async def house_with(data: Path, folder: Path, text: str) -> AsyncIterator[tuple[ConsoleUnderTest, list[Route]]]:
    """A console over a record in which others wrote this text, and what shows it."""
    await asyncio.to_thread(folder.mkdir)
    record = Path(shutil.copy(data / "auditor.db", folder / "auditor.db"))
    poison(record, text)
    made = await whole_console(data, folder, audit_database=record)
    answer_with(made, text)
    yield made, [route for route in routes(record) if route.method == "GET" or route.name in LOOKED_AT]
    await close(made)


async def pages_of(made: ConsoleUnderTest, shown: list[Route]) -> dict[str, tuple[int, str, str]]:
    """Status, kind and text of every page; and a run of every state."""
    found = {}
    more = [Route(f"GET run {run}", f"/runs/{run}{end}") for run in await _runs(made) for end in ("", "/plan")]
    async with made.as_person("viewer", *ROLES, stepped_up=True) as browser:
        for route in [*shown, *more]:
            answer = await route.ask(browser)
            kind = answer.headers.get("content-type", "").partition(";")[0]
            text = answer.text
            if kind == "text/html":
                nonce = answer.headers["content-security-policy"].split("'nonce-")[1].split("'")[0]
                faults = list(faults_of(text, nonce))
                assert not faults, f"{route.name}: {faults}"
            found[f"{route.name} {route.path}"] = (answer.status_code, kind, text)
    return found


async def _runs(made: ConsoleUnderTest) -> list[str]:
    return [one.run for one in await made.console.records.lookups.runs(limit=20)]


def shape(text: str) -> Counter[str]:
    """Which elements a page has, with the names of their attributes."""
    return Counter(f"{tag} {' '.join(sorted(attributes))}" for tag, attributes in Elements(text).found)


@pytest.mark.parametrize("kind", sorted(HOSTILE))
async def test_hostile_values_are_text_on_every_page(house_data: Path, tmp_path: Path, kind: str) -> None:
    """Each page has the elements that it has with an innocent value of the same length, no more and no fewer."""
    text = HOSTILE[kind]
    async with house_with(house_data, tmp_path / "hostile", text) as (made, shown):
        hostile = await pages_of(made, shown)
    async with house_with(house_data, tmp_path / "honest", honest(text)) as (made, shown):
        innocent = await pages_of(made, shown)
    faults = []
    showing = 0
    for name, (status, content, page) in hostile.items():
        expected, _, other = innocent[name]
        if status != expected or (status >= 500 and "provider" not in name):
            faults.append(f"{name}: {status}, with an innocent value {expected}")
        if content != "text/html":
            continue
        showing += honest(text)[:60] in other
        if shape(page) != shape(other):
            faults.append(f"{name}: more {shape(page) - shape(other)}, fewer {shape(other) - shape(page)}")
    assert not faults, "\n".join(faults)
    assert showing >= 10, f"only {showing} pages show the value at all"


async def test_templates_in_values_are_not_carried_out(house_data: Path, tmp_path: Path) -> None:
    async with house_with(house_data, tmp_path / "hostile", "worked-{{7*7}}-out{% if 1 %}c") as (made, shown):
        for name, (_, _, page) in (await pages_of(made, shown)).items():
            assert "worked-49-out" not in page, name


async def test_hostile_forms_and_queries_are_text(house_data: Path, tmp_path: Path) -> None:
    """What the visitor's own browser sends comes back as text or not at all."""
    text = HOSTILE["script"]
    made = await whole_console(house_data, tmp_path)
    names = ("q", "text", "run", "actor", "type", "connector", "status", "mode", "requester", "since", "until",
             "before", "entity", "change_class", "cohort", "alike", "result", "by", "code", "field", "column", "value",
             "offset",
             "done", "next", "missed", "state", "facts", "changed", "error", "user", text)  # fmt: skip
    faults = []
    async with made.as_person("viewer", *ROLES, stepped_up=True) as browser:
        for route in routes(house_data / "auditor.db"):
            if route.is_live:
                continue
            if route.method == "GET":
                sent = [await browser.get(route.path, params={name: text}) for name in names]
            else:
                form = dict.fromkeys((*names, *route.body, "user", "reason", "key", "note"), text)
                sent = [await browser.post(route.path, data={**form, "csrf": CSRF})]
            for answer in sent:
                if answer.status_code >= 500 and "provider" not in route.path:
                    faults.append(f"{route.name} {answer.request.url.query!r}: {answer.status_code}")
                if not answer.headers.get("content-type", "").startswith("text/html"):
                    continue
                if "<script>alert" in answer.text or "<img src=x" in answer.text:
                    faults.append(f"{route.name} {answer.request.url.query!r}: shown raw")
    await close(made)
    assert not faults, "\n".join(faults)
