"""The declared deltas of a connector: the one document under `connector.<name>.declared`.

Pure. It says which declarations count for a run. A declaration, and its withdrawal, counts for the runs whose source
is read after it: all partitions of a run see the same, whatever a person does meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final

from pydantic import Field

from shared.clock import from_text
from shared.events.model import Event
from shared.policy.declared import Declaration, in_force

DECLARATIONS_MAX: Final = 50
"""Declarations of one connector that stand at the same time."""
KEPT_MAX: Final = 200
"""Declarations in the document, with those that ended or were withdrawn a short while ago."""


class DeclaredDeltas(Event):
    """All declared deltas of one connector."""

    event_type: ClassVar[str] = "aether.connector.declared.v1"
    connector: str
    declarations: tuple[Declaration, ...] = Field(default=(), max_length=KEPT_MAX)
    withdrawn: dict[str, str] = Field(default_factory=dict)
    """When a declaration was withdrawn (RFC 3339), by its id."""

    def for_read_at(self, moment: datetime) -> tuple[Declaration, ...]:
        """The declarations that count for a run whose source is read at this moment, in id order."""
        return tuple(
            one
            for one in in_force(self.declarations, connector=self.connector, now=moment)
            if from_text(one.at) <= moment and not self.is_withdrawn(one.id, at=moment)
        )

    def standing(self, now: datetime) -> tuple[Declaration, ...]:
        """The declarations that count now or will, as they were made."""
        return tuple(
            one
            for one in self.declarations
            if now < from_text(one.valid_until) and not self.is_withdrawn(one.id, at=now)
        )

    def is_withdrawn(self, declaration: str, *, at: datetime) -> bool:
        """Whether it was withdrawn by then."""
        withdrawn = self.withdrawn.get(declaration)
        return withdrawn is not None and from_text(withdrawn) <= at


def declared_subject(connector: str) -> str:
    """The subject under which the document lies."""
    return f"connector.{connector}.declared"


def connector_of_declaration(declaration: str) -> str:
    """The connector whose document holds a declaration: ids are `<connector>.<token>`."""
    return declaration.rpartition(".")[0]
