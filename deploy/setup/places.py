"""Where the set-up lays what it makes: one folder for each program, which is a volume that only that program has.

`all` keeps everything, is the set-up's alone and is what a backup of the secrets holds. Every other folder holds copies
for one program, which finds them under `MOUNTED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.asking.profiles import write_private

MOUNTED = Path("/run/aether")
"""Where a program finds its folder."""
READABLE_MODE = 0o644
"""For programs of others that run under a user of their own; nobody else has their volume."""
NODES = ("nats1", "nats2", "nats3")
POSTGRES = "postgres"
GRAFANA = "grafana"
SERVICES = ("extractor", "differ", "applier", "auditor", "console", "monitor")


@dataclass(frozen=True)
class House:
    """The folders below one root."""

    root: Path

    @property
    def all(self) -> Path:
        """Everything; the set-up's alone."""
        return self.root / "all"

    def of(self, program: str) -> Path:
        """The folder of one program."""
        return self.root / program


def give(folder: Path, name: str, text: str, *, is_readable: bool = False) -> None:
    """Write a file into a program's folder, readable by its user alone."""
    path = folder / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, text if text.endswith("\n") else text + "\n")
    if is_readable:
        path.chmod(READABLE_MODE)


def mounted(name: str) -> str:
    """The reference to a secret as its program finds it."""
    return f"file:{MOUNTED / name}"
