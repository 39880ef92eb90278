"""Finds connector definitions for the verbs: a folder, a name, a name with the version of a release; and runs examples.

It reads files and asks no service. Examples are run by the extractor's own normaliser in a program of its own, because
the command line knows nothing of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.problem import CommandFailed

if TYPE_CHECKING:
    from shared.contract.connector import Connector
    from shared.contract.problems import Problem

Declared = dict[tuple[str, str], tuple[str, ...]]
"""Names of columns, by system and entity."""
EXAMPLES_MODULE = "services.extractor.examples"
EXAMPLES_SECONDS_MAX = 120.0
VENDORS_VARIABLE = "AETHER_VENDORS_FOLDER"
"""Names the folder of further systems that are data alone; the services read the same."""


@dataclass(frozen=True, slots=True)
class ExampleOutcome:
    """What became of one example."""

    file: str
    title: str | None
    faults: tuple[str, ...]
    """Empty when it holds."""


def installed_connectors_folder() -> Path:
    """The folder `connectors/` that stands beside this package."""
    return Path(__file__).resolve().parents[1] / "connectors"


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


def existing(folder: Path) -> Path:
    """The folder, if it is one."""
    if not folder.is_dir():
        raise CommandFailed(f"{folder} is no folder", action="Give the folder of definitions with --connectors.")
    return folder


def loaded(folder: Path) -> Connector:
    """The connector of a folder, checked against what the installed systems deliver; its problems are the failure."""
    try:
        from shared.contract.loading import ContractInvalid, load_connector
    except ImportError as missing:
        raise not_installed(missing) from None
    try:
        connector = load_connector(folder, *declared())
    except ContractInvalid as invalid:
        problems = invalid.problems
    else:
        problems = policy_problems(folder, connector)
        if not problems:
            return connector
    lines = "\n".join(f"  {folder.parent}{os.sep}{problem}" for problem in problems)
    raise CommandFailed(
        f"connector {folder.name} has {len(problems)} problem(s):\n{lines}",
        action="Correct the definition at the places named.",
        code="CTR_INVALID",
    )


def policy_problems(folder: Path, connector: Connector) -> tuple[Problem, ...]:
    """What is wrong with the limits that a definition sets; they are judged by the guard's own rules."""
    from shared.contract.positions import read_yaml
    from shared.errors import NeedsPerson
    from shared.policy.connector_policy import check_policy

    try:
        check_policy(connector.definition)
    except NeedsPerson as refused:
        path = folder / "connector.yaml"
        located = read_yaml(path.read_text(encoding="utf-8-sig"), f"{folder.name}/{path.name}")
        fix = "`aether guard show` lists the names of all limits"
        return (located.problem(("guard",), refused.message, fix, at_key=True),)
    return ()


def found(which: str, connectors: Path) -> Connector:
    """The connector of a name, a folder, or a name with `@` and the version of a release."""
    name, at, version = which.rpartition("@")
    if not at:
        return loaded(folder_of(which, connectors))
    folder = folder_of(name, connectors)
    from shared.contract.releases import release_of, released_versions

    released = release_of(folder, version)
    if released is not None:
        return released
    connector = loaded(folder)
    if connector.definition.version == version:
        return connector
    known = ", ".join(released_versions(folder)) or "none"
    raise CommandFailed(
        f"connector {folder.name} has no release {version}; the releases are: {known}",
        action="Name one of them, or leave the version out for the folder as it is.",
        code="CTR_UNKNOWN",
    )


def declared_columns() -> Declared:
    """What the installed systems deliver, so that a misspelt column shows before a run does."""
    return declared()[0]


def declared() -> tuple[Declared, Declared]:
    """What the installed systems deliver, and what each change of a record has to send along."""
    try:
        from shared.ports.registry import Registry, installed_systems_folder

        registry = Registry(installed_systems_folder(), vendors_folder=vendors_folder())
        return registry.columns(), registry.write_companions()
    except ImportError as missing:
        raise not_installed(missing) from None


def vendors_folder() -> Path | None:
    """The folder of further systems that are data alone, where the environment names one."""
    named = os.environ.get(VENDORS_VARIABLE)
    return Path(named) if named else None


def not_installed(missing: ImportError) -> CommandFailed:
    """What a verb says where the columnar engine is not there."""
    return CommandFailed(
        f"definitions cannot be checked here: {missing.name} is not installed",
        action="Run this verb where the dependency group `columnar` is installed.",
    )


def run_examples(folder: Path) -> tuple[ExampleOutcome, ...]:
    """The connector's examples, run; `CommandFailed` when they cannot be run at all."""
    command = [sys.executable, "-m", EXAMPLES_MODULE, str(folder)]
    try:
        # Nothing of it comes from outside: the interpreter, our module, and a folder that was found.
        ended = subprocess.run(command, capture_output=True, timeout=EXAMPLES_SECONDS_MAX, check=False)  # noqa: S603 -- see above
    except subprocess.TimeoutExpired:
        raise CommandFailed(
            f"the examples of {folder.name} took more than {EXAMPLES_SECONDS_MAX:g} s",
            action="Give them fewer rows.",
        ) from None
    try:
        report: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        told = ended.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise CommandFailed(
            f"the examples of {folder.name} could not be run: {told[-1]}",
            action="Run this verb where the dependency group `columnar` is installed.",
        ) from None
    if report["problems"]:
        raise CommandFailed(
            f"connector {folder.name} has {len(report['problems'])} problem(s):\n"
            + "\n".join(f"  {problem}" for problem in report["problems"]),
            action="Correct the definition at the places named.",
            code="CTR_INVALID",
        )
    return tuple(
        ExampleOutcome(file=each["file"], title=each["title"], faults=tuple(each["faults"]))
        for each in report["examples"]
    )
