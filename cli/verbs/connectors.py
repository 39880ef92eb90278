"""Verbs about connector definitions: connector list, connector validate, and the group that holds the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.definitions import (
    declared,
    existing,
    folder_of,
    installed_connectors_folder,
    not_installed,
    policy_problems,
)
from cli.options import ConnectorsOption, DataOption, JsonOption, ProfileOption, session_of
from cli.verbs import promoting, releases, shadow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.contract.problems import Problem


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    group = typer.Typer(help="Connector definitions.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_connectors)
    group.command("validate")(validate)
    releases.add_to(group)
    promoting.add_to(group)
    shadow.add_to(group)
    app.add_typer(group, name="connector")


def list_connectors(
    context: typer.Context,
    connectors: ConnectorsOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """List the connector definitions, faulty ones included."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    try:
        from shared.contract.catalog import Connectors
    except ImportError as missing:
        raise not_installed(missing) from None
    from cli.output import show
    from cli.rendering import plain_table

    folder = existing(connectors or installed_connectors_folder())
    listings = Connectors(folder, *declared()).listings()
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
    connectors: ConnectorsOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Check a definition and its tables; prints every problem as file:line:column: text and exits 1 if there is one."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    try:
        from shared.contract.loading import ContractInvalid, load_connector
    except ImportError as missing:
        raise not_installed(missing) from None
    from cli.output import show

    folder = folder_of(which, connectors or installed_connectors_folder())
    problems: Sequence[Problem] = ()
    digest, lines = None, []
    try:
        connector = load_connector(folder, *declared())
    except ContractInvalid as invalid:
        problems = invalid.problems
    else:
        problems = policy_problems(folder, connector)
    if problems:
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


def _told(problem: Problem) -> str:
    return f"{problem.text}; {problem.fix}"


def _documents(problems: Sequence[Problem]) -> list[dict[str, object]]:
    return [
        {"file": each.file, "line": each.line, "column": each.column, "text": each.text, "fix": each.fix}
        for each in problems
    ]
