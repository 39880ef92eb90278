"""What a stage consists of, whoever plays on it.

A stage is made in an empty folder and starts nothing itself. In its connections `{url:NAME}` stands for the address of
the program of that name, which is known once it listens.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Program:
    """One simulator to be started; `--ready-file` is added by whoever starts it."""

    name: str
    module: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """Everything outside the house."""

    connectors: tuple[str, ...]
    """To be run in this order; the last one is what the stage is for."""
    programs: tuple[Program, ...]
    connections: Mapping[str, Mapping[str, Any]]
    """As connections.yaml has them."""
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Mapping tables that fit this sample, by connector and file name."""
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What stands in a definition and what this sample has in its place, by connector: names of a domain, say."""
    changes_min: int = 1
    """So many changes the last connector must find at least."""


Maker = Callable[[Path, int], Stage]


def seed_file(folder: Path, name: str, document: Any) -> Path:
    """A seed as a file."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def secret_file(folder: Path, name: str, text: str | None = None) -> Path:
    """A credential as a file; drawn when none is given."""
    path = folder / f"{name}.secret"
    path.write_text(text or secrets.token_urlsafe(24), encoding="utf-8")
    return path


def local_connection(folder: Path) -> dict[str, Any]:
    """The district's own tables, in SQLite."""
    url = f"sqlite:///{folder / 'local.db'}"
    (folder / "local.db").touch()
    return {
        "system": "local",
        "environment": "staging",
        "settings": {"url": url, "write_url": url, "create_tables": True},
    }
