"""What the extractor is told by its environment."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from services.extractor.checkpoints import CHECKPOINT_SECONDS, CheckpointRule
from services.extractor.kept import REPLAY_ROWS_MAX
from shared.ports.registry import installed_systems_folder
from shared.settings import ServiceSettings


class ExtractorSettings(ServiceSettings):
    """Settings of the extractor; it holds credentials that may read, and no other."""

    connectors: Path = Path("connectors")
    """Folder of the connector definitions."""
    systems: Path = installed_systems_folder()
    """Folder of the systems."""
    vendors_folder: Path | None = None
    """Folder of further systems that are data alone: a manifest and an interface document each."""
    connections: Path
    """File of the connections and their secret references."""
    calendar: Path | None = None
    """File of the house's calendar: school days and windows in which nothing runs by schedule; read anew at every time
    that is due. None: every day is alike."""
    spill_folder: Path | None = None
    """Where large reads are laid down while they are worked on, in files without a name; None: the folder for passing
    files. It should lie on a disk, with room for twice the largest source."""
    sides_at_once: int = Field(default=2, ge=1, le=8)
    """Sides that this replica reads at the same time. With several replicas 1, so that they share a run's sides."""
    replay_rows_max: int = Field(default=REPLAY_ROWS_MAX, ge=0)
    """Rows of one certified side that are kept on the bus for a replay, as long as the bus keeps snapshots; 0 keeps
    none. They are personal data as read."""
    checkpoint_seconds: float = Field(default=CHECKPOINT_SECONDS, ge=0, le=600)
    """How often a long reading is made durable on the bus, so that another process can take it up; what is kept for
    that is gone after twenty minutes. 0: never, and neither where no rows are to be kept for replays."""

    def places(self) -> Mapping[str, Path]:
        """Where large reads are laid down."""
        return {"spill": self.spill_folder or Path(tempfile.gettempdir())}

    def checkpoint_rule(self) -> CheckpointRule | None:
        """How often readings are made durable; None where rows as read may not stand on the bus."""
        if self.checkpoint_seconds == 0 or self.replay_rows_max == 0:
            return None
        return CheckpointRule(seconds=self.checkpoint_seconds)
