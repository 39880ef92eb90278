"""The options that every verb has, and the session they make: which data folder, as whom, and how to print."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

PROGRAM = "aether"
DATA_DEFAULT = Path(".aether")
PROFILE_DEFAULT = "operator"

_DATA_HELP = "Data folder; holds the profiles. Default: $AETHER_DATA, else ./.aether"
_PROFILE_HELP = "As whom: a file in profiles/. Default: $AETHER_PROFILE, else operator"

# Only the options before the verb read the environment: read at the verb too, it would win over what was typed.
RootDataOption = Annotated[
    Path | None, typer.Option("--data", envvar="AETHER_DATA", show_envvar=False, help=_DATA_HELP)
]
RootProfileOption = Annotated[
    str | None, typer.Option("--profile", envvar="AETHER_PROFILE", show_envvar=False, help=_PROFILE_HELP)
]
DataOption = Annotated[Path | None, typer.Option("--data", help=_DATA_HELP)]
ProfileOption = Annotated[str | None, typer.Option("--profile", help=_PROFILE_HELP)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Run id, as `aether runs` prints it.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why; the auditor's database keeps the text, the audit log its digest.")
]
ConnectorsOption = Annotated[
    Path | None,
    typer.Option(
        "--connectors", envvar="AETHER_CONNECTORS", help="Folder of definitions. Default: the installed ones."
    ),
]
ConnectorArgument = Annotated[
    str, typer.Argument(metavar="CONNECTOR", help="Name, as `aether connector list` prints it.")
]
WATCH_SECONDS_DEFAULT = 3600.0
TimeoutOption = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", min=1, help="Longest time to watch; the run goes on without us."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What every verb needs to know."""

    data: Path
    profile: str
    is_json: bool

    @property
    def as_options(self) -> str:
        """The options that a printed command needs so that it finds the same data folder."""
        return "" if self.data == DATA_DEFAULT else f" --data {shlex.quote(str(self.data))}"


def session_of(context: typer.Context, *, data: Path | None, profile: str | None, is_json: bool) -> Session:
    """The session of one call; options after the verb win over those before it."""
    before = context.find_root().params
    return Session(
        data=data or before.get("data") or DATA_DEFAULT,
        profile=profile or before.get("profile") or PROFILE_DEFAULT,
        is_json=is_json or bool(before.get("is_json")),
    )


def program() -> str:
    """What to type for this program: its name where the shell finds it, else the path of the one that runs here."""
    beside = Path(sys.executable).with_name(PROGRAM)
    found = shutil.which(PROGRAM)
    if not beside.exists() or (found is not None and Path(found).resolve() == beside.resolve()):
        return PROGRAM
    is_below = beside.is_relative_to(Path.cwd())
    return shlex.quote(str(beside.relative_to(Path.cwd()) if is_below else beside))
