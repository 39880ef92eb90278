"""Which rule of `shared.ports.quality` a test shows, and where the benches of the systems are."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import pytest

from shared.ports.manifest import Role
from shared.ports.quality import RULES
from tests.conformance.bench import Bench
from tests.support.systems import installed_systems

BENCHES = Path(__file__).with_name("benches")
REGISTRY = installed_systems()


class Opened(Protocol):
    """`opened` of a bench module."""

    def __call__(self, entity: str, folder: Path) -> AbstractAsyncContextManager[Bench]: ...


def shows(rule: str) -> Callable[[Any], Any]:
    """Mark a test as one that shows a rule."""
    assert rule in {each.name for each in RULES}, f"{rule} is no rule of shared.ports.quality"
    return cast("Callable[[Any], Any]", pytest.mark.rule(rule))


def bench_module(system: str) -> ModuleType | None:
    """The benches of a system; None where there are none."""
    if not (BENCHES / f"{system}.py").exists():
        return None
    return importlib.import_module(f"tests.conformance.benches.{system}")


def cases(role: Role) -> list[tuple[str, str]]:
    """Every system and entity that has a bench and can play the role."""
    found = []
    for system in REGISTRY.names():
        module = bench_module(system)
        for entity in () if module is None else module.ENTITIES:
            if role in REGISTRY.manifest(system).entities[entity].roles:
                found.append((system, entity))
    return found
