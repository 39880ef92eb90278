"""Which tests are left to AETHER_FAULTS=whole: those marked `whole`, each of which has a smaller one like it beside it.

They are collected all the same and told as skipped. A folder with such tests hands on the hook in its conftest:
`from tests.support.whole import pytest_collection_modifyitems`.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

VARIABLE: Final = "AETHER_FAULTS"
REASON: Final = f"one more of its kind: runs with {VARIABLE}=whole"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `whole`, unless all is asked for."""
    if os.environ.get(VARIABLE) == "whole":
        return
    for item in items:
        if item.get_closest_marker("whole") is not None and not item.get_closest_marker("skip"):
            item.add_marker(pytest.mark.skip(reason=REASON))
