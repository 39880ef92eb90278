"""Prints the reference of the configuration from the settings models of the services.

`python -m deploy.documents.settings > docs/configuration.md`; a test keeps the document current. Variables that have
no settings model of a service are listed here by hand, and a test looks for others in the code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from deploy.documents.clauses import Language
from services.applier.settings import ApplierSettings
from services.auditor.settings import AuditorSettings
from services.console.settings import ConsoleSettings
from services.differ.settings import DifferSettings
from services.extractor.settings import ExtractorSettings
from services.monitor.settings import MonitorSettings
from shared.secrets.vault_settings import PREFIX as VAULT_PREFIX
from shared.secrets.vault_settings import VaultSettings
from shared.settings import ServiceSettings

SETTINGS: Final[dict[str, type[ServiceSettings]]] = {
    "extractor": ExtractorSettings,
    "differ": DifferSettings,
    "applier": ApplierSettings,
    "auditor": AuditorSettings,
    "console": ConsoleSettings,
    "monitor": MonitorSettings,
}
_ROOT: Final = str(Path(__file__).resolve().parents[2])
_HEAD: Final = """\
# Configuration

Printed from the settings of the services by `make documents`; do not edit. A program that is told something that it
cannot use ends at once with exit code 78 and says which variable, what is wrong with it and what is allowed. A value
that is a secret is never given here, only a *reference* to it; [secrets.md](secrets.md) says which there are."""

_SOPS: Final = """\
## Secrets in files of SOPS

| variable | value | default | meaning |
|---|---|---|---|
| `AETHER_SOPS_AGE_KEY_FILE` | path | `SOPS_AGE_KEY_FILE` | File with the age identities that decrypt. |"""
_COMMAND_LINE: Final = """\
## Command line

| variable | value | default | meaning |
|---|---|---|---|
| `AETHER_DATA` | path | `.aether` | Folder with the profiles; `--data` says another. |
| `AETHER_PROFILE` | name | `operator` | As whom commands are given; `--profile` says another. |
| `AETHER_VENDORS_FOLDER` | path | none | Folder of further systems that are data alone. |"""


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"AETHER_{name.upper()}"


def render_markdown() -> str:
    """The whole document."""
    shared = set(ServiceSettings.model_fields)
    parts = [_HEAD, _section("Every service", ServiceSettings, without=set())]
    parts += [_section(name.title(), model, without=shared) for name, model in SETTINGS.items()]
    parts.append(_section("Secrets in Vault or OpenBao", VaultSettings, without=set(), prefix=VAULT_PREFIX))
    return "\n\n".join([*parts, _SOPS, _COMMAND_LINE]) + "\n"


def variables() -> set[str]:
    """Every variable that a settings model reads."""
    models: list[type[BaseModel]] = [ServiceSettings, *SETTINGS.values()]
    return {variable(name) for model in models for name in model.model_fields}


def _section(title: str, model: type[BaseModel], *, without: set[str], prefix: str = "AETHER_") -> str:
    schema = model.model_json_schema()
    named = {
        "title": title,
        "description": schema.get("description", ""),
        "required": [prefix + name.upper() for name in schema.get("required", ())],
        "properties": {
            prefix + name.upper(): _without_root({**described, "description": _meaning(name, described)})
            for name, described in schema["properties"].items()
            if name not in without
        },
    }
    text = Language(patterns=dict(_patterns(schema))).section(title, named, {**schema.get("$defs", {}), title: named})
    return text.replace("### ", "## ", 1).replace("| clause |", "| variable |", 1)


def _without_root(described: dict[str, Any]) -> dict[str, Any]:
    """A default that lies beside the programs is told from there, wherever they are."""
    default = described.get("default")
    if isinstance(default, str) and default.startswith(_ROOT):
        return {**described, "default": default.removeprefix(_ROOT).lstrip("/")}
    return described


def _meaning(name: str, described: dict[str, Any]) -> str:
    if "description" not in described:
        raise ValueError(f"the setting {name} has no docstring; write one under it")
    return str(described["description"])


def _patterns(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a reader calls the patterns of these settings."""
    for pattern in re.findall(r"'pattern': '((?:[^'\\]|\\.)*)'", str(schema)):
        text = pattern.replace("\\\\", "\\")
        if "sqlite" in text:
            yield text, "address of a database"
        elif "https?" in text:
            yield text, "web address"
        else:
            yield text, "text"


def main() -> None:
    """Print it."""
    sys.stdout.write(render_markdown())


if __name__ == "__main__":
    main()
