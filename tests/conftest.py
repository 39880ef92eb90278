"""The order of the suite: what is quick and says most precisely what broke comes first.

Within a folder the order stays as it is. A folder that is not named here comes last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

ORDER: Final = (
    "unit",
    "contracts",
    "tidy",
    "simulators",
    "conformance",
    "support",
    "integration",
    "poison",
    "simulation",
    "faults",
    "sessions",
    "e2e",
)
_HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.path))


def _place(path: Path) -> int:
    folder = path.relative_to(_HERE).parts[0] if path.is_relative_to(_HERE) else ""
    return ORDER.index(folder) if folder in ORDER else len(ORDER)
