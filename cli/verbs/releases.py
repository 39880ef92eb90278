"""Verbs about a connector's making: connector new, test, diff, publish. They work on files and ask no service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.definitions import (
    declared_columns,
    existing,
    folder_of,
    found,
    installed_connectors_folder,
    loaded,
    run_examples,
)
from cli.options import ConnectorsOption, DataOption, JsonOption, ProfileOption, session_of
from cli.problem import EXIT_USAGE, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.definitions import ExampleOutcome

EXIT_DIFFERENT = 2
WhichArgument = Annotated[str, typer.Argument(metavar="PATH|NAME", help="A connector's folder or file, or its name.")]


def add_to(group: typer.Typer) -> None:
    """Add these verbs."""
    group.command("new")(new)
    group.command("test")(test)
    group.command("diff")(diff)
    group.command("publish")(publish)


def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and dashes.")],
    source: Annotated[str, typer.Option("--from", metavar="SYSTEM:ENTITY", help="What is read.")],
    target: Annotated[str, typer.Option("--to", metavar="SYSTEM:ENTITY", help="What is written.")],
    key: Annotated[str, typer.Option("--key", metavar="FIELD=COLUMN", help="What identifies a record.")],
    connectors: ConnectorsOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Write a small draft that is valid, with an example; what both sides call by one name is mapped."""
    from cli.drafting import DraftWish, draft_files
    from cli.output import show
    from shared.ids import is_name

    session = session_of(context, data=data, profile=profile, is_json=is_json)
    if not is_name(name):
        raise CommandFailed(
            f"{name!r} is no name",
            action="Use small letters, digits and dashes, at most 63, such as titanhst-staff.",
            exit_code=EXIT_USAGE,
        )
    folder = existing(connectors or installed_connectors_folder()) / name
    files = draft_files(DraftWish(name=name, source=source, target=target, key=key), declared_columns())
    if folder.exists():
        raise CommandFailed(f"{folder} exists already", action="Choose another name, or edit what is there.")
    for file, text in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    digest = loaded(folder).digest
    document = {"name": name, "folder": str(folder), "files": sorted(files), "digest": digest, "exit_code": 0}
    lines = [
        f"{name} 0.1.0, a draft, in {folder}",
        *(f"  {file}" for file in sorted(files)),
        f"Write on in connector.yaml; then:  aether connector test {name}",
    ]
    show(document, lines, is_json=session.is_json)
    return 0


def test(
    context: typer.Context,
    which: Annotated[str | None, typer.Argument(metavar="[PATH|NAME]", help="All connectors when left out.")] = None,
    connectors: ConnectorsOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Run the examples of one connector, or of all; exits 1 when one does not hold, or there is none."""
    from cli.output import show

    session = session_of(context, data=data, profile=profile, is_json=is_json)
    home = connectors or installed_connectors_folder()
    if which is None:
        folders = sorted(path.parent for path in existing(home).glob("*/connector.yaml"))
    else:
        folders = [folder_of(which, home)]
    results = {folder.name: run_examples(folder) for folder in folders}
    is_sound = bool(results) and all(outcomes and holds(outcomes) for outcomes in results.values())
    code = 0 if is_sound else 1
    document = {
        "is_sound": is_sound,
        "connectors": [
            {
                "name": name,
                "examples": [
                    {"file": one.file, "title": one.title, "holds": not one.faults, "faults": list(one.faults)}
                    for one in outcomes
                ],
            }
            for name, outcomes in results.items()
        ],
        "exit_code": code,
    }
    lines = [line for name, outcomes in results.items() for line in example_lines(name, outcomes)]
    show(document, lines or [f"There is no connector in {home}"], is_json=session.is_json)
    return code


def holds(outcomes: Sequence[ExampleOutcome]) -> bool:
    """Whether every example came out as it says."""
    return not any(one.faults for one in outcomes)


def example_lines(name: str, outcomes: Sequence[ExampleOutcome]) -> list[str]:
    """What became of a connector's examples."""
    if not outcomes:
        return [f"{name}: there is no example; write one in {name}/examples/"]
    lines = []
    for one in outcomes:
        lines.append(f"{'DIFFERS' if one.faults else 'holds':<8}{name}/{one.file}: {one.title or 'cannot be read'}")
        lines += [f"        {fault}" for fault in one.faults]
    return lines


def diff(
    context: typer.Context,
    one: Annotated[str, typer.Argument(metavar="A", help="NAME, NAME@VERSION or a folder.")],
    other: Annotated[str, typer.Argument(metavar="B", help="NAME, NAME@VERSION or a folder.")],
    connectors: ConnectorsOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Say what changes from one release of a connector to another; exits 2 when there is a difference."""
    from cli.output import show
    from shared.contract.describing import differences

    session = session_of(context, data=data, profile=profile, is_json=is_json)
    home = connectors or installed_connectors_folder()
    old, new_one = found(one, home), found(other, home)
    told = differences(old, new_one)
    code = EXIT_DIFFERENT if told else 0
    document = {
        "old": {"name": old.definition.name, "version": old.definition.version, "digest": old.digest},
        "new": {"name": new_one.definition.name, "version": new_one.definition.version, "digest": new_one.digest},
        "differences": list(told),
        "exit_code": code,
    }
    heads = [f"{each.definition.name} {each.definition.version}  {each.digest}" for each in (old, new_one)]
    lines = [f"from {heads[0]}", f"to   {heads[1]}", *(told or ("Both mean the same.",))]
    show(document, lines, is_json=session.is_json)
    return code


def publish(
    context: typer.Context,
    which: WhichArgument,
    by: Annotated[str, typer.Option("--by", help="Who answers for it; written into the release.")],
    connectors: ConnectorsOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Validate a connector, run its examples, and store its version as a release that is never edited."""
    from cli.output import show
    from shared.clock import SystemClock
    from shared.contract import releases
    from shared.contract.describing import differences

    session = session_of(context, data=data, profile=profile, is_json=is_json)
    folder = folder_of(which, connectors or installed_connectors_folder())
    connector = loaded(folder)
    outcomes = run_examples(folder)
    if not outcomes or not holds(outcomes):
        raise CommandFailed(
            "\n".join(["an example does not hold, or there is none:", *example_lines(folder.name, outcomes)]),
            action="Correct the definition or the example; then publish.",
            code="CTR_INVALID",
        )
    version = connector.definition.version
    earlier = [one for one in releases.released_versions(folder) if one != version]
    was_published = connector.is_published
    path = releases.publish(folder, connector, at=SystemClock().now(), by=by)
    before = releases.release_of(folder, earlier[-1]) if earlier else None
    told = () if before is None else differences(before, connector)
    document = {
        "name": connector.definition.name,
        "version": version,
        "digest": connector.digest,
        "file": str(path),
        "was_published": was_published,
        "examples": len(outcomes),
        "earlier": earlier,
        "differences": list(told),
        "exit_code": 0,
    }
    is_new = "was published before, with the same meaning" if was_published else "is published"
    lines = [f"{connector.definition.name} {version} {is_new}", f"  digest {connector.digest}", f"  file   {path}"]
    if before is not None:
        lines += [f"against {before.definition.version}:", *(f"  {each}" for each in told)]
    show(document, lines, is_json=session.is_json)
    return 0
