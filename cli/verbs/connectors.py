"""Verbs about connector definitions: connector list, connector validate. They read files and ask no service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DataOption, JsonOption, ProfileOption, session_of
from cli.problem import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.contract.problems import Problem

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--connectors", envvar="AETHER_CONNECTORS", help="Folder of definitions. Default: the installed ones."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    group = typer.Typer(help="Connector definitions.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_connectors)
    group.command("validate")(validate)
    app.add_typer(group, name="connector")


def installed_connectors_folder() -> Path:
    """The folder `connectors/` that stands beside this package."""
    return Path(__file__).resolve().parents[2] / "connectors"


def list_connectors(
    context: typer.Context,
    connectors: FolderOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """List the connector definitions, faulty ones included."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    try:
        from shared.contract.catalog import Connectors
    except ImportError as missing:
        raise _not_installed(missing) from None
    from cli.output import show
    from cli.rendering import plain_table

    folder = _existing(connectors or installed_connectors_folder())
    listings = Connectors(folder, _declared_columns()).listings()
    document = {
        "folder": str(folder),
        "connectors": [
            {
                "name": each.name,
                "version": each.version,
                "title": each.title,
                "lifecycle": each.lifecycle,
                "digest": each.digest,
                "problems": _documents(each.problems),
            }
            for each in listings
        ],
    }
    rows = [
        (each.name, each.version or "-", each.lifecycle or "FAULTY", each.title or f"{len(each.problems)} problem(s)")
        for each in listings
    ]
    show(document, [plain_table("name", "version", "lifecycle", "title", rows=rows)], is_json=session.is_json)
    return 0


def validate(
    context: typer.Context,
    which: Annotated[str, typer.Argument(metavar="PATH|NAME", help="A connector's folder or file, or its name.")],
    connectors: FolderOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Check a definition and its tables; prints every problem as file:line:column: text and exits 1 if there is one."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    try:
        from shared.contract.loading import ContractInvalid, load_connector
    except ImportError as missing:
        raise _not_installed(missing) from None
    from cli.output import show

    folder = folder_of(which, connectors or installed_connectors_folder())
    problems: Sequence[Problem] = ()
    digest, lines = None, []
    try:
        connector = load_connector(folder, _declared_columns())
    except ContractInvalid as invalid:
        problems = invalid.problems
        lines = [
            f"{folder.parent / problem.file}:{problem.line}:{problem.column}: {_told(problem)}" for problem in problems
        ]
        lines.append(f"{len(problems)} problem(s)")
    else:
        digest = connector.digest
        lines = [f"{connector.definition.name} {connector.definition.version} is valid", f"  digest {digest}"]
    document = {"folder": str(folder), "is_valid": not problems, "digest": digest, "problems": _documents(problems)}
    show(document, lines, is_json=session.is_json)
    return 1 if problems else 0


def folder_of(which: str, connectors: Path) -> Path:
    """The connector's folder, from its name, its folder or its definition file."""
    path = Path(which)
    if path.name == "connector.yaml" and path.is_file():
        return path.resolve().parent
    if path.is_dir():
        return path.resolve()
    named = connectors / which
    if os.sep not in which and named.is_dir():
        return named.resolve()
    known = ", ".join(sorted(each.parent.name for each in connectors.glob("*/connector.yaml"))) or "none"
    raise CommandFailed(
        f"{which} is neither a folder nor a connector in {connectors}; there are: {known}",
        action="Give a connector's name or the path of its folder.",
        code="CTR_UNKNOWN",
    )


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise CommandFailed(f"{folder} is no folder", action="Give the folder of definitions with --connectors.")
    return folder


def _told(problem: Problem) -> str:
    return f"{problem.text}; {problem.fix}"


def _documents(problems: Sequence[Problem]) -> list[dict[str, object]]:
    return [
        {"file": each.file, "line": each.line, "column": each.column, "text": each.text, "fix": each.fix}
        for each in problems
    ]


def _not_installed(missing: ImportError) -> CommandFailed:
    return CommandFailed(
        f"definitions cannot be checked here: {missing.name} is not installed",
        action="Run this verb where the dependency group `columnar` is installed.",
    )


def _declared_columns() -> dict[tuple[str, str], tuple[str, ...]]:
    """What the installed systems deliver, so that a misspelt column shows before a run does."""
    try:
        from shared.ports.registry import Registry, installed_systems_folder

        return Registry(installed_systems_folder()).columns()
    except ImportError as missing:
        raise _not_installed(missing) from None
