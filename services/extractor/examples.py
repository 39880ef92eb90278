"""Runs the examples of connectors: `python -m services.extractor.examples FOLDER` prints one JSON document.

For whoever may not import the normaliser: the command line starts it as a program of its own. It reads the connector's
folder, writes nothing, asks no system, and exits with 0 whatever the examples say; the document says it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from services.extractor.normalise import Rules, normalise_desired, refuse_blocked, settle_duplicates
from shared.contract.connector import Connector
from shared.contract.examples import Example, differences, read_example
from shared.contract.loading import load_connector
from shared.contract.problems import ContractInvalid
from shared.errors import AetherError
from shared.events.model import Document

EXAMPLES_MAX = 500
"""Examples of one connector."""


class ExampleResult(Document):
    """What became of one example."""

    file: str
    title: str | None
    """None when the file cannot be read."""
    faults: tuple[str, ...]
    """One sentence for each thing that is otherwise than the example says; empty when it holds."""


class ExamplesReport(Document):
    """What became of a connector's examples."""

    name: str
    version: str | None
    digest: str | None
    """None, like the version, when the definition is not valid."""
    problems: tuple[str, ...] = ()
    """What is wrong with the definition, as `file:line:column: what; what to do`."""
    examples: tuple[ExampleResult, ...] = Field(default=())


def examples_report(folder: Path) -> ExamplesReport:
    """The examples of the connector in a folder, run through the normaliser."""
    try:
        connector = load_connector(folder)
    except ContractInvalid as invalid:
        problems = tuple(str(problem) for problem in invalid.problems)
        return ExamplesReport(name=folder.name, version=None, digest=None, problems=problems)
    paths = sorted((folder / "examples").glob("*.yaml"))
    if len(paths) > EXAMPLES_MAX:
        problem = f"{folder.name}/examples: there are {len(paths)} examples, allowed {EXAMPLES_MAX}; join small ones"
        return ExamplesReport(name=folder.name, version=None, digest=None, problems=(problem,))
    return ExamplesReport(
        name=connector.definition.name,
        version=connector.definition.version,
        digest=connector.digest,
        examples=tuple(_results(paths, connector)),
    )


def _results(paths: list[Path], connector: Connector) -> Iterator[ExampleResult]:
    for path in paths:
        file = f"examples/{path.name}"
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            yield ExampleResult(file=file, title=None, faults=(f"{file}: cannot be read: {type(error).__name__}",))
            continue
        example, problems = read_example(text, file, connector.definition)
        if example is None:
            yield ExampleResult(file=file, title=None, faults=tuple(str(problem) for problem in problems))
            continue
        yield ExampleResult(file=file, title=example.document.title, faults=faults_of(example, connector))


def faults_of(example: Example, connector: Connector) -> tuple[str, ...]:
    """What the normaliser makes otherwise than the example says; empty when it holds."""
    rules = Rules(tables=connector.tables, transforms=connector.transforms, lookups=example.looked_up())
    try:
        found = normalise_desired(example.contract, rules, example.frames())
        refuse_blocked(found.account.blocked)
    except AetherError as error:
        return (f"{example.file}: the rows stop the run: {error.code}: {error.message}",)
    records, quarantined = settle_duplicates(found.records, found.quarantined, contract=example.contract)
    return differences(example, records, quarantined, found.out_of_scope)


def main() -> None:
    """Entry point."""
    if len(sys.argv) != 2:
        sys.exit("give the folder of one connector")
    sys.stdout.write(json.dumps(examples_report(Path(sys.argv[1])).model_dump(mode="json"), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
