"""One house is played for all tests of pages: a dry-run, plans rejected, replaced and applied, one without changes."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.harness import ConsoleUnderTest, console_under_test
from tests.console.played import STAFF_HELD, play


@pytest.fixture(scope="session")
def house_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a house that was played; `AETHER_TEST_HOUSE` names a folder where it is kept."""
    return _played("house", tmp_path_factory, staff=None)


@pytest.fixture(scope="session")
def small_house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One so small that the guard holds its plans."""
    return _played("small", tmp_path_factory, staff=STAFF_HELD)


def _played(name: str, factory: pytest.TempPathFactory, *, staff: int | None) -> Path:
    kept = os.environ.get("AETHER_TEST_HOUSE")
    data = Path(kept, name) if kept is not None else factory.mktemp(name)
    if not (data / "auditor.db").exists():
        asyncio.run(play(data, staff=staff))
    return data


@pytest.fixture
async def under_test(house_data: Path) -> AsyncIterator[ConsoleUnderTest]:
    """A console over that house's record; nothing writes to it."""
    console = console_under_test(house_data)
    yield console
    await console.console.records.close()


@pytest.fixture
def own_record(house_data: Path, tmp_path: Path) -> Path:
    """A copy of the record that a test may alter."""
    return Path(shutil.copy(house_data / "auditor.db", tmp_path / "auditor.db"))
