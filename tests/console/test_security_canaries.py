"""No secret and nothing personal of the district's people stands on a page, in JSON, in an error or in the log."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.console.records import Records
from services.console.site import site
from shared.asking.problem import NoAnswer
from tests.console.every_route import ROLES, Route, close, routes, whole_console
from tests.console.harness import ConsoleUnderTest

SECRET_CHARS_MIN = 12
SHOWS_PERSONAL_VALUES = frozenset(
    {"POST /runs/{run}/plan/changes/{change_id}/reveal", "POST /api/v1/runs/{run}/plan/changes/{change_id}/reveal",
     "POST /data/{table}/{row_id}/reveal"}
)  # fmt: skip
NAMES_SECRETS = frozenset({"GET /systems", "GET /api/v1/connections"})
"""These say where a secret is kept, never what it is."""


@pytest.fixture
async def console(house_data: Path, tmp_path: Path) -> AsyncIterator[ConsoleUnderTest]:
    """A console with everything that a page can show."""
    made = await whole_console(house_data, tmp_path)
    yield made
    await close(made)


def secrets_of(data: Path) -> frozenset[str]:
    """Every line of every file that holds a secret of the house."""
    found = set()
    for folder in (data / "secrets", data / "bus" / "secrets"):
        for file in sorted(folder.iterdir()):
            lines = file.read_text().split() if file.suffix == ".pem" else file.read_text().splitlines()
            found |= {line.strip() for line in lines if len(line.strip()) >= SECRET_CHARS_MIN}
    return frozenset(found) - {"-----BEGIN", "-----END"}


def personal_of(data: Path) -> frozenset[str]:
    """Mail addresses, phones and birthdays of all people of the district, as the sources and the target hold them."""
    with sqlite3.connect(f"file:{data / 'district' / 'hr.db'}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT work_email, personal_email, mobile, birth_date FROM hr_person").fetchall()
    contacts = json.loads((data / "district" / "titanhst.json").read_bytes())["contacts"]
    told = [value for row in rows for value in row]
    told += [contact[name] for contact in contacts for name in ("email", "mobilePhone")]
    return frozenset().union(*(marks_in(str(value)) for value in told if value))


def marks_in(text: str) -> frozenset[str]:
    """What in a text looks like a mail address, a day or a phone; phones by their last ten digits however written."""
    phones = (re.sub(r"\D", "", each)[-10:] for each in re.findall(r"\d{3}\D{0,2}\d{3}\D?\d{4}", text))
    return frozenset({*re.findall(r"[\w.+-]+@[\w.-]+\w", text), *re.findall(r"\d{4}-\d\d-\d\d", text), *phones})


async def _texts(made: ConsoleUnderTest, data: Path) -> dict[str, str]:
    found = {}
    runs = [one.run for one in await made.console.records.lookups.runs(limit=20)]
    more = [Route(f"GET {path}", path) for run in runs for path in (f"/runs/{run}", f"/runs/{run}/plan",
            f"/api/v1/runs/{run}/plan/changes?limit=100", f"/quarantine/{run}")]  # fmt: skip
    async with made.as_person("viewer", *ROLES, stepped_up=True) as browser, made.nobody() as nobody:
        for route in [*routes(data / "auditor.db"), *more]:
            answer = await route.ask(browser)
            found[route.name] = f"{answer.headers} {answer.text}"
            found[f"nobody: {route.name}"] = (await route.ask(nobody)).text
    return found


async def test_no_secret_and_no_person_is_shown_or_logged(
    console: ConsoleUnderTest,
    house_data: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    secrets, personal = secrets_of(house_data), personal_of(house_data)
    assert len(secrets) > 10
    assert len(personal) > 1_000
    with caplog.at_level("DEBUG"):
        shown = await _texts(console, house_data)
    printed = capfd.readouterr()
    shown["the log"] = printed.out + printed.err + caplog.text
    faults = []
    for name, text in shown.items():
        faults += [f"{name}: the secret {secret[:4]}…" for secret in secrets if secret in text]
        if name not in SHOWS_PERSONAL_VALUES:
            faults += [f"{name}: {value}" for value in marks_in(text) & personal]
            faults += [f"{name}: {value}" for value in ("Marigold", "marigold@") if value in text]
        if name not in NAMES_SECRETS and ("file:/" in text or str(house_data) in text):
            faults.append(f"{name}: where a secret or the data is kept")
        faults += [f"{name}: {word}" for word in ("sqlite+aiosqlite", "postgresql+", "nats://") if word in text]
    assert not faults, "\n".join(faults[:40])


async def test_a_broken_house_tells_nothing_of_itself(
    console: ConsoleUnderTest, house_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The database is gone, and no service answers: pages say so, with no place, statement or trace."""
    made = console
    await made.console.records.close()
    broken = tmp_path / "broken.db"
    await asyncio.to_thread(broken.write_bytes, b"no database at all" * 100)
    made.console.records = Records.open(f"sqlite+aiosqlite:///{broken}")
    made.console.registry = CollectorRegistry()
    made.app = site(made.console)
    asked = ("health", "quarantine", "declared", "subset", "reveal_change", "check_connection", "request_run")
    for name in (*asked, "credentials", "schedules"):
        made.acting.answers[name] = lambda _: NoAnswer("the service does not answer", action="Try again.")
    faults = []
    async with made.as_person("viewer", *ROLES, stepped_up=True) as browser:
        for route in routes(house_data / "auditor.db"):
            answer = await route.ask(browser)
            if answer.status_code == 500:
                faults.append(f"{route.name}: 500")
            for word in ("Traceback", "SELECT ", "sqlite", str(broken), "sqlalchemy", 'File "'):
                if word in answer.text:
                    faults.append(f"{route.name}: {word}")
    printed = capfd.readouterr()
    assert str(broken) not in printed.out + printed.err
    assert not faults, "\n".join(faults)
