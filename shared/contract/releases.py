"""Published releases: `releases/<version>.json` of a connector, each holding everything that it takes to load it again.

A release is written once and never edited: publishing the same meaning again changes nothing, another meaning under the
same version is refused, and a file that does not have the digest that it names is refused when it is read. Transforms
are kept as source text, so an old release does what it did although `transforms/` has gone on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.contract.connector import Connector, release_digest, written, written_protected
from shared.contract.model import ConnectorDefinition
from shared.contract.positions import Located
from shared.contract.problems import Problem
from shared.contract.protected import PROTECTED_FILE
from shared.contract.tables import MappingTable
from shared.contract.transforms import Transform, transform_of
from shared.errors import NeedsPerson

RELEASE_BYTES_MAX = 64 * 1024 * 1024
RELEASES_MAX = 1_000
"""Releases of one connector."""
Version = tuple[int, int, int]


class ReleasedTable(BaseModel):
    """One mapping table as released."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id_column: str
    value_column: str
    entries: dict[str, str]


class Release(BaseModel):
    """What stands in the file of a release."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    form: Literal[1] = Field(default=1, alias="schema")
    """Version of this document."""
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
    """Of everything below, as `release_digest` makes it."""
    published_at: AwareDatetime
    published_by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    definition: dict[str, Any]
    """As written in the language, without what equals its default."""
    tables: dict[str, ReleasedTable]
    transforms: dict[str, str]
    """Source text by name."""
    protected: dict[str, Any]


def publish(folder: Path, connector: Connector, *, at: datetime, by: str) -> Path:
    """Writes the release of a loaded connector and returns its file; an equal release that is there already is kept.

    `NeedsPerson` CTR_ALTERED when this version was released with another meaning. Of two publishers at once exactly one
    writes, and a reader sees the whole file or none.
    """
    path = _path(folder, connector.definition.version)
    if not path.exists():
        release = Release(
            digest=connector.digest,
            published_at=at,
            published_by=by,
            definition=written(connector.definition),
            tables={
                name: ReleasedTable(
                    id_column=table.id_column, value_column=table.value_column, entries=dict(table.entries)
                )
                for name, table in connector.tables.items()
            },
            transforms={name: transform.source for name, transform in connector.transforms.items()},
            protected=written_protected(connector.protected),
        )
        _write_once(path, release.model_dump_json(by_alias=True, indent=2) + "\n")
    if load_release(path).digest != connector.digest:
        raise _altered(
            path, f"this version is released with another digest than {connector.digest}", "raise the version"
        )
    return path


def load_release(path: Path) -> Connector:
    """The connector of a release; `NeedsPerson` CTR_ALTERED when the file is not what was published."""
    release = _read(path)
    try:
        definition = ConnectorDefinition.model_validate(release.definition)
        protected = PROTECTED_FILE.validate_python(release.protected)
    except ValidationError as error:
        raise _altered(path, f"its content is no sound release ({error.error_count()} faults)") from None
    tables = {name: _table(name, table) for name, table in release.tables.items()}
    transforms = {name: _transform(path, name, source) for name, source in release.transforms.items()}
    digest = release_digest(definition, tables, transforms=transforms, protected=protected)
    if digest != release.digest:
        raise _altered(path, f"it names digest {release.digest} and has {digest}")
    if (definition.name, definition.version) != (path.parent.parent.name, path.stem):
        raise _altered(path, f"it is release {definition.version} of connector {definition.name}")
    return Connector(
        definition,
        MappingProxyType(tables),
        digest,
        transforms=MappingProxyType(transforms),
        protected=MappingProxyType(dict(protected)),
        is_published=True,
    )


def released_versions(folder: Path) -> tuple[str, ...]:
    """The versions that a connector's folder holds a release of, oldest first."""
    paths = sorted((folder / "releases").glob("*.json"))[: RELEASES_MAX + 1]
    if len(paths) > RELEASES_MAX:
        text = f"{folder.name}/releases: there are more than {RELEASES_MAX} releases; move old ones to an archive"
        raise NeedsPerson("CTR_INVALID", text, connector=folder.name)
    return tuple(sorted((path.stem for path in paths if _is_version(path.stem)), key=_parsed))


def release_of(folder: Path, version: str) -> Connector | None:
    """The stored release of that version; None when there is none."""
    path = _path(folder, version)
    return load_release(path) if path.is_file() else None


def release_with(folder: Path, digest: str) -> Connector | None:
    """The stored release with that digest; None when there is none. The newest version is looked at first."""
    for version in reversed(released_versions(folder)):
        path = _path(folder, version)
        if _read(path).digest == digest:
            return load_release(path)
    return None


def release_problems(folder: Path, connector: Connector, located: Located | None = None) -> list[Problem]:
    """What the stored release of this version has against the connector: another meaning, or a file that was altered.

    `located` gives the place of `version`; without it the problem stands at the top of the definition.
    """
    version = connector.definition.version
    try:
        released = release_of(folder, version)
    except NeedsPerson as error:
        file = f"{folder.name}/releases/{version}.json"
        return [Problem(file, 1, 1, error.message.partition(": ")[2], "put back what was published", code=error.code)]
    if released is None or released.digest == connector.digest:
        return []
    place = (located or Located(f"{folder.name}/connector.yaml")).problem(("version",), "", "")
    text = f"version {version} is released with digest {released.digest}, this is {connector.digest}"
    return [Problem(place.file, place.line, place.column, text, "raise the version", code="CTR_ALTERED")]


def is_released(folder: Path, connector: Connector) -> bool:
    """Whether exactly this connector is stored as the release of its version."""
    released = release_of(folder, connector.definition.version)
    return released is not None and released.digest == connector.digest


def _path(folder: Path, version: str) -> Path:
    if not _is_version(version):
        raise NeedsPerson("CTR_UNKNOWN", f"{version!r} is no version; write major.minor.patch", connector=folder.name)
    return folder / "releases" / f"{version}.json"


def _is_version(text: str) -> bool:
    numbers = text.split(".")
    return len(numbers) == 3 and all(part.isascii() and part.isdigit() and len(part) <= 5 for part in numbers)


def _parsed(version: str) -> Version:
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def _read(path: Path) -> Release:
    if (size := path.stat().st_size) > RELEASE_BYTES_MAX:
        raise _altered(path, f"it has {size} bytes, allowed {RELEASE_BYTES_MAX}")
    try:
        return Release.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _altered(path, f"it is no release document ({error.error_count()} faults)") from None


def _table(name: str, table: ReleasedTable) -> MappingTable:
    """The table with the lines that a file of it would have."""
    lines: Mapping[str, int] = {raw_id: line for line, raw_id in enumerate(table.entries, start=2)}
    return MappingTable(
        name=name, id_column=table.id_column, value_column=table.value_column, entries=table.entries, lines=lines
    )


def _transform(path: Path, name: str, source: str) -> Transform:
    transform, problems = transform_of(name, source.encode(), file=f"{path.stem}.json:transforms/{name}.py")
    if transform is None:
        text = "; ".join(str(problem) for problem in problems)
        raise NeedsPerson("CTR_TRANSFORM", f"{_shown(path)}: {text}", connector=path.parent.parent.name)
    return transform


def _write_once(path: Path, text: str) -> None:
    """Makes the file appear whole, and only where none is; a file that somebody else made meanwhile is left alone."""
    path.parent.mkdir(exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".release-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        try:
            os.link(temporary, path)  # fails where the name is taken, which a rename would not
        except FileExistsError:
            return
    finally:
        Path(temporary).unlink()


def _altered(path: Path, what: str, fix: str = "put back what was published") -> NeedsPerson:
    return NeedsPerson("CTR_ALTERED", f"{_shown(path)}: {what}; {fix}", connector=path.parent.parent.name)


def _shown(path: Path) -> str:
    return "/".join(path.parts[-3:])
