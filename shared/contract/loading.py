"""Reads a connector's folder: definition, tables, transforms and protected records, or all that is wrong with them.

Every problem is told as `file:line:column: what; what to do`. Nothing is fetched: the columns of systems, if they are
to be checked, are handed in. A folder whose version was released with another meaning is refused.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from shared.contract.checking import cross_check
from shared.contract.connector import Connector, release_digest
from shared.contract.known import EntityColumns, Known, WriteCompanions
from shared.contract.model import ConnectorDefinition
from shared.contract.parts import transforms_named
from shared.contract.positions import Located, read_yaml
from shared.contract.problems import ContractInvalid, Problem
from shared.contract.protected import PROTECTED_FILE, ProtectedRecords
from shared.contract.releases import is_released, release_problems
from shared.contract.tables import MappingTable, read_table
from shared.contract.telling import told
from shared.contract.transforms import Transform, installed_transforms_folder, read_transform

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
PROTECTED_BYTES_MAX = 1_048_576
TABLES_MAX = 50
TRANSFORMS_MAX = 50
Read = TypeVar("Read")


def load_connector(
    folder: Path,
    columns: EntityColumns | None = None,
    companions: WriteCompanions | None = None,
    *,
    transforms_folder: Path | None = None,
) -> Connector:
    """The connector in a folder such as `connectors/titanhst-staff`; `ContractInvalid` with every problem found.

    With `columns` the names of entities and columns are checked against what the systems declare, with `companions`
    whether the entities that are written hold what every change of them has to send. Transforms are taken
    from `transforms/` beside `connectors/` when no other folder is given.
    """
    name = folder.name
    tables, problems = _read_tables(folder)
    located = _read_yaml(folder / "connector.yaml", f"{name}/connector.yaml", bytes_max=DEFINITION_BYTES_MAX)
    listed = _read_protected(folder)
    definition = _validated(TypeAdapter(ConnectorDefinition), located)
    protected = _validated(PROTECTED_FILE, listed)
    problems += [*located.problems, *listed.problems]
    if definition is None or protected is None:
        raise ContractInvalid(name, problems)
    transforms, found = _read_transforms(
        definition, protected, located, transforms_folder or installed_transforms_folder()
    )
    known = Known(
        definition, tables, transforms, located, columns, companions or {}, protected=protected, listed=listed
    )
    problems += [*found, *cross_check(known, folder_name=name)]
    if problems:
        raise ContractInvalid(name, problems)
    connector = _connector(known)
    if problems := release_problems(folder, connector, located):
        raise ContractInvalid(name, problems)
    return connector if not is_released(folder, connector) else replace(connector, is_published=True)


def _connector(known: Known) -> Connector:
    """The connector, once nothing is wrong with any of its parts."""
    tables = {name: table for name, table in known.tables.items() if table is not None}
    transforms = {name: transform for name, transform in known.transforms.items() if transform is not None}
    digest = release_digest(known.definition, tables, transforms=transforms, protected=known.protected)
    return Connector(
        known.definition,
        MappingProxyType(tables),
        digest,
        transforms=MappingProxyType(transforms),
        protected=MappingProxyType(dict(known.protected)),
    )


def _validated(model: TypeAdapter[Read], located: Located) -> Read | None:
    """The document under its model; None, with the problems told, when it does not fit."""
    if located.problems:
        return None
    try:
        return model.validate_python(located.value)
    except ValidationError as error:
        located.problems += told(located, error.errors(include_url=False))
        return None


def _read_protected(folder: Path) -> Located:
    path, file = folder / "protected.yaml", f"{folder.name}/protected.yaml"
    if path.is_file():
        return _read_yaml(path, file, bytes_max=PROTECTED_BYTES_MAX)
    return Located(file, value={})


def _read_transforms(
    definition: ConnectorDefinition, protected: ProtectedRecords, located: Located, folder: Path
) -> tuple[dict[str, Transform | None], list[Problem]]:
    """Transforms by name; None for a file that is there and cannot be used, so that no step is blamed for it."""
    named = sorted({name for part in (definition, protected) for _, name in transforms_named(part)})
    if len(named) > TRANSFORMS_MAX:
        text = f"the definition names {len(named)} transforms, allowed {TRANSFORMS_MAX}"
        return {}, [located.problem((), text, "say with steps and tables what they can say")]
    transforms: dict[str, Transform | None] = {}
    problems: list[Problem] = []
    for name in named:
        transform, found = read_transform(folder, name)
        problems += found
        if transform is not None or found:
            transforms[name] = transform
    return transforms, problems


def _read_yaml(path: Path, file: str, *, bytes_max: int) -> Located:
    located = Located(file)
    if not path.is_file():
        located.problems.append(Problem(file, 1, 1, "the file does not exist", "write the definition"))
    elif (size := path.stat().st_size) > bytes_max:
        text = f"the file has {size} bytes, allowed {bytes_max}"
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
