"""Time in these tests is virtual: nobody waits for it, and a wait of an hour is over at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.unit.applier.jumping_loop import JumpingLoop


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], JumpingLoop]]:
    """The loop that every test of this folder runs in."""
    return {"virtual": JumpingLoop}
