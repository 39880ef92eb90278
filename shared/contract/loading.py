"""Reads a connector's folder: the definition and its mapping tables, or everything that is wrong with them at once.

Every problem is told as `file:line:column: what; what to do`. Nothing is fetched: the columns of systems, if they are
to be checked, are handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.contract.checking import EntityColumns, cross_check
from shared.contract.model import ConnectorDefinition
from shared.contract.positions import Located, read_yaml
from shared.contract.problems import ContractInvalid, Problem
from shared.contract.tables import MappingTable, read_table
from shared.hashing.canonical import digest_of

__all__ = [
    "Connector",
    "ContractInvalid",
    "EntityColumns",
    "MappingTable",
    "Problem",
    "load_connector",
    "release_digest",
]

DEFINITION_BYTES_MAX = 262_144
TABLES_MAX = 50


@dataclass(frozen=True)
class Connector:
    """A connector as loaded: its definition, its tables and the digest of both."""

    definition: ConnectorDefinition
    tables: Mapping[str, MappingTable]
    digest: str
    """`release_digest` of the two."""


def load_connector(folder: Path, columns: EntityColumns | None = None) -> Connector:
    """The connector in a folder such as `connectors/titanhst-staff`; `ContractInvalid` with every problem found.

    With `columns` the names of entities and columns are checked against what the systems declare.
    """
    name = folder.name
    tables, problems = _read_tables(folder)
    located = _read_definition(folder / "connector.yaml", f"{name}/connector.yaml")
    problems += located.problems
    if located.problems:
        raise ContractInvalid(name, problems)
    try:
        definition = ConnectorDefinition.model_validate(located.value)
    except ValidationError as error:
        problems += [_told(located, detail) for detail in error.errors(include_url=False)]
        raise ContractInvalid(name, problems) from None
    problems += cross_check(definition, tables, located, folder_name=name, columns=columns)
    if problems:
        raise ContractInvalid(name, problems)
    readable = {table: found for table, found in tables.items() if found is not None}
    return Connector(definition, MappingProxyType(readable), release_digest(definition, readable))


def release_digest(definition: ConnectorDefinition, tables: Mapping[str, MappingTable]) -> str:
    """`sha256:…` over the meaning of a release: the definition without what equals its default, and the tables.

    Comments, layout, the order of a table's lines and its remarks do not count; the order of fields does, because it is
    the order of a snapshot's columns.
    """
    content = definition.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for entity, contract in content["entities"].items():
        contract["fields"] = [[name, field] for name, field in contract["fields"].items()]
        content["entities"][entity] = contract
    return digest_of({"definition": content, "tables": {name: dict(table.entries) for name, table in tables.items()}})


def _read_definition(path: Path, file: str) -> Located:
    located = Located(file)
    if not path.is_file():
        located.problems.append(Problem(file, 1, 1, "the file does not exist", "write the definition"))
    elif (size := path.stat().st_size) > DEFINITION_BYTES_MAX:
        text = f"the file has {size} bytes, allowed {DEFINITION_BYTES_MAX}"
        located.problems.append(Problem(file, 1, 1, text, "move long lists into mapping tables"))
    else:
        try:
            return read_yaml(path.read_bytes().decode("utf-8-sig"), file)
        except UnicodeDecodeError as error:
            located.problems.append(
                Problem(file, 1, 1, f"byte {error.start} is not UTF-8", "save the file as UTF-8 text")
            )
    return located


def _read_tables(folder: Path) -> tuple[dict[str, MappingTable | None], list[Problem]]:
    """Tables by name; None for a file that is there and cannot be read, so that no field is blamed for it."""
    tables: dict[str, MappingTable | None] = {}
    problems: list[Problem] = []
    paths = sorted((folder / "tables").glob("*.csv"))
    for path in paths[:TABLES_MAX]:
        tables[path.stem], found = read_table(path, f"{folder.name}/tables/{path.name}")
        problems += found
    if len(paths) > TABLES_MAX:
        file = f"{folder.name}/tables/{paths[TABLES_MAX].name}"
        problems.append(
            Problem(file, 1, 1, f"there are {len(paths)} tables, allowed {TABLES_MAX}", "join small tables")
        )
    return tables, problems


def _told(located: Located, detail: ErrorDetails) -> Problem:
    """A complaint of the model in the language of the definition."""
    path, kind = detail["loc"], detail["type"]
    last = path[-1] if path else ""
    if kind == "missing":
        return located.problem(path, f"{last!r} is missing", "add it", at_key=True)
    if kind == "extra_forbidden":
        return located.problem(path, f"key {last!r} is not part of the language", "correct or remove it", at_key=True)
    shown = repr(detail["input"])
    value = f" (found {shown})" if len(shown) <= 60 and not isinstance(detail["input"], dict | list) else ""
    message = detail["msg"].removeprefix("Value error, ")
    return located.problem(path, f"{'.'.join(str(part) for part in path)}: {message}{value}", "correct it")
