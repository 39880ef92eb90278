"""Prints the reference of the connector language from the model that reads it.

`python -m deploy.documents.connector_language > docs/connector-language.md`; a test keeps the document current.
It says nothing of its own about a clause: the words are the model's.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import get_args

from deploy.documents.clauses import Language, one_line
from shared.contract import field, transforms, words, worked_example
from shared.contract.examples import ExampleDocument
from shared.contract.model import ConnectorDefinition
from shared.contract.protected import ProtectedRecord

_HEAD = """\
# The connector language

Printed from `shared/contract/` by `python -m deploy.documents.connector_language > docs/connector-language.md`; do not
edit.

A connector is a folder of `connectors/` with these files:

| file | holds |
|---|---|
| `connector.yaml` | the definition: one [ConnectorDefinition](#connectordefinition) |
| `tables/<name>.csv` | mapping tables: ids in the first column, codes in the second, remarks in any other |
| `protected.yaml` | for each entity a list of [ProtectedRecord](#protectedrecord); may be missing |
| `examples/<name>.yaml` | rows of the sources and what must come of them: one [ExampleDocument](#exampledocument) |
| `releases/<version>.json` | what was published, never edited; a folder that differs from its release is refused |

What steps cannot say stands in `transforms/<name>.py`, beside `connectors/`. Everything but layout, comments and
`lifecycle` enters the digest of a release."""
_TRANSFORMS = """\
## Registered transforms

A file `transforms/<name>.py` defines `VERSION`, `EXAMPLES` and `transform`, which turns one text into another: `None`
is no value, and a `ValueError` says that the text cannot be one. Its examples are tried whenever a definition that
names it is loaded. It may import {modules}, and asks neither a clock nor a file."""
_LANGUAGE = Language(
    patterns={
        "^[a-z][a-z0-9_]{0,62}$": "a [name](#name)",
        "^[a-z][a-z0-9-]{0,62}$": "a [name](#connectionname) with dashes",
        r"^[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}$": "[`alias.column`](#qualifiedcolumn)",
    },
    enums={get_args(words.NamedStep): "[named step](#namedstep)", get_args(field.Format): "[format](#format)"},
    alternatives={
        "true or false or whole number or text": "plain value",
        "true or false or whole number or text or null": "plain value or null",
    },
)


def render_markdown() -> str:
    """Return docs/connector-language.md."""
    modules = ", ".join(f"`{name}`" for name in sorted(transforms.MODULES_ALLOWED))
    return (
        "\n\n".join(
            [
                _HEAD,
                "## Clauses",
                *_LANGUAGE.sections([ConnectorDefinition.model_json_schema(by_alias=True)]),
                "## Names, steps and formats",
                *_named(words, ("Name", "ConnectionName", "QualifiedColumn", "Pattern", "NamedStep")),
                *_named(field, ("Format", "DateFormat")),
                _TRANSFORMS.format(modules=modules),
                "## Protected records",
                *_LANGUAGE.sections([ProtectedRecord.model_json_schema(by_alias=True)], without={"Condition"}),
                "## Examples",
                *_LANGUAGE.sections([ExampleDocument.model_json_schema(by_alias=True)]),
                "## A worked example",
                f"The folder of the connector *{worked_example.NAME}*, which a test loads and runs.",
                *_files(worked_example.FILES),
            ]
        )
        + "\n"
    )


def _named(module: ModuleType, names: Iterable[str]) -> Iterator[str]:
    """What a module says of its own words, from the text under each."""
    body = ast.parse(inspect.getsource(module)).body
    for name in names:
        for place, node in enumerate(body[:-1]):
            match node, body[place + 1]:
                case (
                    ast.Assign(targets=[ast.Name(id=defined)]),
                    ast.Expr(value=ast.Constant(value=str() as text)),
                ) if defined == name:
                    yield f"### {name}\n\n{one_line(text)}"


def _files(files: Mapping[str, str]) -> Iterator[str]:
    for name, text in files.items():
        language = name.rpartition(".")[2]
        yield f"*{name}*\n\n```{language}\n{text}```"


if __name__ == "__main__":
    sys.stdout.write(render_markdown())
