"""Connections: which systems a district has, where they are and how to reach them.

One YAML document, written by the district's administrator. A connection names its system, says whether it is
production, and holds the settings that the system's own model checks when the connection is opened
(`shared.ports.registry`). It holds no secret, only references to secrets.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import NeedsPerson
from shared.ports.manifest import SystemName
from shared.ports.yaml_document import Problem, YamlInvalid, position_of, read_yaml

CONNECTIONS_MAX = 200
"""More in one document is a mistake."""

ConnectionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=60)]
Environment = Literal["staging", "production"]


class ConnectionsInvalid(NeedsPerson):
    """The connections document cannot be used; `problems` names every place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("SRC_CONFIG", "\n".join(str(problem) for problem in problems), problems=len(problems))


class Connection(BaseModel):
    """One configured system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ConnectionName
    """The name that connectors use; the key in the document."""
    system: SystemName
    """The folder under systems/ that speaks to it."""
    environment: Environment
    """Whether real people are behind it."""
    rate_per_second: float | None = Field(default=None, gt=0, le=10_000)
    """Requests a second that all programs of the house together send to it; no bound of ours when left out."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """As the system's own model wants them; secrets only by reference."""


class Connections(BaseModel):
    """All connections of a district."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connections: dict[ConnectionName, Connection] = Field(max_length=CONNECTIONS_MAX)

    def names(self) -> list[str]:
        """The names, sorted."""
        return sorted(self.connections)

    def named(self, name: str) -> Connection:
        """The connection of that name; `NeedsPerson` (SRC_CONFIG) when there is none."""
        try:
            return self.connections[name]
        except KeyError:
            close = difflib.get_close_matches(name, self.connections, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(self.names()) or 'none'}"
            raise NeedsPerson(
                "SRC_CONFIG", f"connection {name}: is not in the connections document; {hint}", connection=name
            ) from None


def load_connections(path: Path) -> Connections:
    """The document at `path`; `ConnectionsInvalid` names file, line and column of every problem."""
    try:
        document = read_yaml(path)
    except YamlInvalid as invalid:
        raise ConnectionsInvalid(list(invalid.problems)) from None
    entries = document.get("connections")
    named = dict(document)
    if isinstance(entries, dict):
        problems = [
            Problem(*position_of(document, ("connections", key, "name"), path=path), "name is the key; leave it out")
            for key, entry in entries.items()
            if isinstance(entry, dict) and "name" in entry
        ]
        if problems:
            raise ConnectionsInvalid(problems)
        named["connections"] = {
            key: {**entry, "name": key} if isinstance(entry, dict) else entry for key, entry in entries.items()
        }
    try:
        return Connections.model_validate(named)
    except ValidationError as invalid:
        raise ConnectionsInvalid(
            [
                Problem(
                    *position_of(document, error["loc"], path=path),
                    f"{'.'.join(str(part) for part in error['loc']) or 'document'}: {error['msg']}",
                )
                for error in invalid.errors(include_input=False, include_url=False)
            ]
        ) from None
