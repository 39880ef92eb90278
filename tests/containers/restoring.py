"""A composition that lost everything, brought back from its backup as docs/operations/containers.md tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from deploy.setup.places import NODES, POSTGRES
from tests.containers.composition import Composition

LOST: Final = (*NODES, POSTGRES, "house")
"""Volumes of the data, and of all that the set-up ever made."""
_TAR: Final = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "tar", "setup", "-C", "/house/all")


def keep_secrets(house: Composition, path: Path) -> None:
    """Write all that the set-up ever made into a file."""
    house.piped(*_TAR, "-cf", "-", ".", to=path)


def lose_everything(house: Composition) -> None:
    """Take the composition down, and its data and secrets away."""
    house.compose("--profile", "demo", "--profile", "tools", "down")
    house.docker("volume", "rm", *(house.volume(name) for name in LOST))


def bring_back(house: Composition, *, secrets: Path, backup: str) -> dict[str, Any]:
    """Restore secrets, streams and databases, and prove the log by the auditor alone; what the verification says."""
    house.piped(*_TAR, "-xf", "-", of=secrets)
    house.up(*NODES, POSTGRES)
    house.compose("run", "--rm", "-T", "databases")
    house.compose("--profile", "tools", "run", "--rm", "-T", "backup", "deploy.backup", "restore", "--from", backup)
    for node in NODES:
        house.compose("restart", node)
        house.up(node)
    house.up("auditor")
    report: dict[str, Any] = house.aether("audit", "verify", profile="auditor")
    return report
