"""The bus of the session for tests that do not harm it, and which faults are left to `make faults`.

The whole of this folder takes ten minutes. The suite runs what differs in kind; tests marked `whole`, and most rounds
of the crash matrix, repeat that with other programs, seeds and moments, and run with AETHER_FAULTS=whole.
"""

from __future__ import annotations

import os

import pytest

from tests.support.bus import bus, bus_server, own_bus

__all__ = ["bus", "bus_server", "own_bus"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("AETHER_FAULTS") == "whole":
        return
    for item in items:
        if item.get_closest_marker("whole") is not None:
            item.add_marker(pytest.mark.skip(reason="one more of its kind: `make faults` runs it"))
