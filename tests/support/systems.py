"""The installed systems for tests, their manifests read once in a process.

A test that opens one system needs no second look at the manifests of all of them: reading those took longer than most
such tests. What is read, and what is refused about it, is shown by `tests/unit/ports/test_registry.py`, which reads
anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final
from unittest.mock import patch

from ruamel.yaml.comments import CommentedMap

from shared.ports import discovery
from shared.ports.connections import Connection
from shared.ports.metering import Meter
from shared.ports.pacing import Pacer
from shared.ports.quality import Quality
from shared.ports.registry import Registry, installed_systems_folder
from shared.ports.surroundings import Surroundings
from shared.ports.yaml_document import read_yaml

INSTALLED: Final = installed_systems_folder().resolve()

_kept = cache(read_yaml)


def _read(path: Path) -> CommentedMap:
    """A document; one of the installed systems is read once, another each time."""
    return _kept(path) if path.is_relative_to(INSTALLED) else read_yaml(path)


@cache
def _qualities() -> dict[str, Quality]:
    known = Registry(INSTALLED)
    return {name: known.quality(name) for name in known.names()}


def installed_systems(
    *,
    vendors_folder: Path | None = None,
    surroundings: Surroundings | None = None,
    pacers: Callable[[Connection], Pacer] | None = None,
    meters: Callable[[Connection], Meter] | None = None,
) -> Registry:
    """A registry of its own, as `Registry(installed_systems_folder(), …)` makes it."""
    with patch.object(discovery, "read_yaml", _read):
        made = Registry(
            INSTALLED, vendors_folder=vendors_folder, surroundings=surroundings, pacers=pacers, meters=meters
        )
    made._qualities.update(_qualities())
    return made
