"""The page about systems and connections: what is set up, how it stands, and never a secret."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from services.console.definitions import Definitions
from shared.asking.problem import CommandFailed
from shared.events.documents import FailureNote
from shared.events.queries import ConnectionAnswer, FindingView, HealthAnswer, QuarantinedConnection
from tests.console.harness import CSRF, ROOT, ConsoleUnderTest

CANARY = "canary-3f9a1c"
HOSTILE = "<script>alert(1)</script>"
YEAR_AND_MORE = 400 * 86_400


def _set_up(console: ConsoleUnderTest, folder: Path, connections: dict[str, object]) -> Path:
    path = folder / "connections.yaml"
    path.write_text(json.dumps({"connections": connections}))
    console.console.definitions = Definitions(
        connectors=ROOT / "connectors", systems=ROOT / "systems", connections=path
    )
    return path


def _titanhst(**settings: object) -> dict[str, object]:
    return {"system": "titanhst", "environment": "production", "rate_per_second": 5, "settings": settings}


def _health(*quarantined: QuarantinedConnection) -> HealthAnswer:
    return HealthAnswer(
        entries=0, checkpoints=0, lag={}, dead_letters=(), dead_letters_total=0, quarantined=quarantined
    )


async def test_page_shows_every_system_and_connection(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/systems")).text
        systems = (await browser.get("/api/v1/systems")).json()["systems"]
        connections = {one["name"]: one for one in (await browser.get("/api/v1/connections")).json()["connections"]}
    assert {one["name"] for one in systems} == set(under_test.console.definitions.registry.names())
    assert set(connections) == {"hr", "aeries", "titanhst"}
    assert connections["titanhst"]["connectors"] == ["titanhst-staff"]
    assert connections["titanhst"]["last_run"]["run"] in text
    assert connections["titanhst"]["health"] == "ready"
    assert all(one["title"] in text for one in systems)
    assert "Check now" not in text


async def test_no_secret_is_shown_wherever_somebody_put_it(under_test: ConsoleUnderTest, tmp_path: Path) -> None:
    secret = tmp_path / "read.token"
    secret.write_text(CANARY)
    os.environ.pop("AETHER_CANARY", None)
    _set_up(
        under_test,
        tmp_path,
        {
            "right": _titanhst(
                base_url=f"https://user:{CANARY}@titan.example/{CANARY}?key={CANARY}", token=f"file:{secret}"
            ),
            "wrong": _titanhst(base_url="https://titan.example", token=CANARY, write_token={"value": CANARY}),
            "database": {
                "system": "ocde_hr_sql", "environment": "staging",
                "settings": {"url": f"postgresql://hr:{CANARY}@db.example/hr"},
            },
        },
    )  # fmt: skip
    async with under_test.as_person("olga", "operator", "steward") as browser:
        answers = [await browser.get(path) for path in ("/systems", "/api/v1/connections", "/api/v1/systems")]
    assert all(answer.status_code == 200 for answer in answers)
    assert not any(CANARY in answer.text for answer in answers)
    shown = {one["name"]: one for one in answers[1].json()["connections"]}
    assert shown["right"]["address"] == "https://titan.example"
    assert [one["reference"] for one in shown["right"]["credentials"]] == [f"file:{secret}"]
    assert shown["wrong"]["health"] == "faulty"
    assert "settings.token" in shown["wrong"]["problem"]


async def test_age_of_a_credential_is_that_of_its_file(under_test: ConsoleUnderTest, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for file in (old, new):
        file.write_text("x")
    then = under_test.console.clock.now().timestamp() - YEAR_AND_MORE
    os.utime(old, (then, then))
    _set_up(under_test, tmp_path, {
        "one": _titanhst(base_url="https://titan.example", token=f"file:{old}", write_token=f"file:{new}"),
        "two": _titanhst(base_url="https://titan.example", token=f"file:{tmp_path}/gone", write_token="env:TOKEN"),
    })  # fmt: skip
    async with under_test.as_person("vera", "viewer") as browser:
        cards = (await browser.get("/api/v1/connections")).json()["connections"]
        text = (await browser.get("/systems")).text
    found = {(card["name"], one["setting"]): one for card in cards for one in card["credentials"]}
    assert found["one", "token"]["is_old"]
    assert not found["one", "write_token"]["is_old"]
    assert found["two", "token"]["is_missing"]
    assert (found["two", "write_token"]["changed_at"], found["two", "write_token"]["is_missing"]) == (None, False)
    assert "older than a year" in text
    assert "this program sees no such file" in text


async def test_quarantined_connection_says_since_when_and_why(under_test: ConsoleUnderTest) -> None:
    held = QuarantinedConnection(
        connection="hr", since="2026-03-02T10:00:00Z", reason=FailureNote(code="SRC_AUTH", text=HOSTILE), run=None,
        probes=3,
    )  # fmt: skip
    under_test.acting.answers["health"] = lambda _: _health(held)
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/systems")).text
        cards = {one["name"]: one for one in (await browser.get("/api/v1/connections")).json()["connections"]}
    assert (cards["hr"]["health"], cards["hr"]["code"], cards["hr"]["probes"]) == ("quarantined", "SRC_AUTH", 3)
    assert cards["aeries"]["health"] == "ready"
    assert HOSTILE not in text
    assert 'href="/help#SRC_AUTH"' in text


async def test_health_is_never_called_good_when_nobody_answers(under_test: ConsoleUnderTest) -> None:
    under_test.acting.answers["health"] = lambda _: CommandFailed("nobody answers", action="Start the auditor.")
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/systems")).text
        cards = (await browser.get("/api/v1/connections")).json()["connections"]
    assert {one["health"] for one in cards} == {"unknown"}
    assert "is not known now: nobody answers. Start the auditor." in text


async def test_faulty_document_of_connections_is_shown_with_its_place(
    under_test: ConsoleUnderTest, tmp_path: Path
) -> None:
    path = _set_up(under_test, tmp_path, {"one": {"system": "titanhst", "environment": "moon"}})
    async with under_test.as_person("vera", "viewer") as browser:
        answer = await browser.get("/systems")
    assert answer.status_code == 200
    assert f"{path.name}:" in answer.text
    assert "environment" in answer.text
    assert "Installed systems" in answer.text


async def test_check_asks_as_the_person_and_shows_each_finding(under_test: ConsoleUnderTest) -> None:
    under_test.acting.answers["check_connection"] = lambda name: ConnectionAnswer(
        connection=name, system="titanhst", environment="staging", tier="silver",
        findings=(
            FindingView(subject="network", is_good=True, text="it answers"),
            FindingView(subject="permission", is_good=False, text=HOSTILE),
        ),
    )  # fmt: skip
    async with under_test.as_person("olga", "operator") as browser:
        answer = await browser.post("/systems/connections/titanhst/check", data={"csrf": CSRF})
    async with under_test.as_person("sam", "steward") as browser:
        told = await browser.post("/api/v1/connections/titanhst/check", headers={"x-csrf-token": CSRF})
    assert under_test.acting.asked == [
        ("olga", "check_connection", "titanhst"),
        ("sam", "check_connection", "titanhst"),
    ]
    assert "1 of 2 things are wrong." in answer.text
    assert HOSTILE not in answer.text
    assert [one["is_good"] for one in told.json()["findings"]] == [True, False]


async def test_unknown_connection_is_not_asked_about(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("olga", "operator") as browser:
        answer = await browser.post("/systems/connections/nonsense/check", data={"csrf": CSRF})
    assert answer.status_code == 404
    assert under_test.acting.asked == []


@pytest.mark.parametrize("path", ["/systems/connections/hr/check", "/api/v1/connections/hr/check"])
async def test_check_needs_the_role_and_a_form_of_ours(under_test: ConsoleUnderTest, path: str) -> None:
    async with under_test.as_person("eve", "viewer", "approver", "auditor", "admin") as browser:
        lacking = await browser.post(path, headers={"x-csrf-token": CSRF})
    async with under_test.as_person("olga", "operator") as browser:
        forged = await browser.post(path, data={"csrf": "another"})
    assert (lacking.status_code, forged.status_code) == (403, 403)
    assert under_test.acting.asked == []
