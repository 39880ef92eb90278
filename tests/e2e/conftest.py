"""One house a module; each test finds vendor and sources as on the first day."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.road import District, Road, district, house

__all__ = ["district"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_house(district: District, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    """A running house of the module."""
    async with house(district, tmp_path_factory.mktemp("house") / "data") as road:
        yield road


@pytest_asyncio.fixture(loop_scope="module")
async def road(module_house: Road) -> Road:
    """The module's house, as on the first day."""
    await module_house.reset()
    return module_house
