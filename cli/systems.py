"""What is known of the installed systems without opening any: from their manifests and their quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cli.definitions import vendors_folder
from shared.ports.registry import Registry, installed_systems_folder


@dataclass(frozen=True)
class EntityLine:
    """One entity of one system."""

    system: str
    entity: str
    roles: tuple[str, ...]
    key: str
    read_tier: str
    write_tier: str | None
    """None where it cannot be written."""

    def document(self) -> dict[str, Any]:
        """As JSON shows it."""
        return asdict(self)


def overview(registry: Registry | None = None) -> Sequence[EntityLine]:
    """Every entity of every installed system, in the order of their names."""
    known = registry or Registry(installed_systems_folder(), vendors_folder=vendors_folder())
    lines = []
    for system in known.names():
        for entity, described in known.manifest(system).entities.items():
            is_target = "target" in described.roles
            lines.append(
                EntityLine(
                    system=system,
                    entity=entity,
                    roles=tuple(described.roles),
                    key=described.key,
                    read_tier=known.tier(system, role="source").title,
                    write_tier=known.tier(system, role="target").title if is_target else None,
                )
            )
    return lines
