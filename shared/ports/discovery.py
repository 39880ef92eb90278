"""Finding systems on disk: reads every manifest, and compares a family's interface with the manifest beside it.

It loads no code. Everything that is wrong is told at once, each with file, line and column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml.comments import CommentedMap

from shared.errors import NeedsPerson
from shared.ports.family import Family, FamilyEntity
from shared.ports.manifest import Manifest, Role
from shared.ports.quality import Quality
from shared.ports.yaml_document import Problem, YamlInvalid, position_of, read_yaml

MANIFEST_FILE = "manifest.yaml"
QUALITY_FILE = "quality.yaml"
SYSTEMS_MAX = 200
"""More folders than this are not ours."""


class ManifestInvalid(NeedsPerson):
    """A system's manifest cannot be used; `problems` names every place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("SRC_CONFIG", "\n".join(str(problem) for problem in problems), problems=len(problems))


@dataclass(frozen=True)
class Found:
    """One system's folder, read."""

    manifest: Manifest
    document: CommentedMap
    """The manifest as written, for the places of what is wrong with it."""
    path: Path
    """Of the manifest."""


def discover(folder: Path, vendors_folder: Path | None) -> dict[str, Found]:
    """Every system of the two folders by its name; `ManifestInvalid` names every problem."""
    found: dict[str, Found] = {}
    problems: list[Problem] = []
    for path in _manifests_in(folder):
        _take(path, found, problems)
    for path in [] if vendors_folder is None else _manifests_in(vendors_folder):
        _take(path, found, problems, is_data_only=True)
    if problems:
        raise ManifestInvalid(problems)
    return found


def _manifests_in(folder: Path) -> list[Path]:
    try:
        paths = sorted(folder.glob(f"*/{MANIFEST_FILE}"))
    except OSError as problem:
        raise NeedsPerson("SRC_CONFIG", f"{folder}: cannot be read: {problem.strerror}; check the path") from None
    if not folder.is_dir():
        raise NeedsPerson("SRC_CONFIG", f"{folder}: is no folder; give the folder that holds the systems")
    if len(paths) > SYSTEMS_MAX:
        raise NeedsPerson("SRC_CONFIG", f"{folder}: {len(paths)} systems, allowed {SYSTEMS_MAX}; check the path")
    return paths


def _take(path: Path, found: dict[str, Found], problems: list[Problem], *, is_data_only: bool = False) -> None:
    """Read one manifest into `found`, or what is wrong with it into `problems`."""
    try:
        document = read_yaml(path)
    except YamlInvalid as invalid:
        problems.extend(invalid.problems)
        return
    try:
        manifest = Manifest.model_validate(dict(document))
    except ValidationError as invalid:
        problems.extend(problems_of(invalid, document, path=path, whole="manifest"))
        return
    where = position_of(document, ("name",), path=path)
    if manifest.name != path.parent.name:
        problems.append(Problem(*where, f"name: is {manifest.name}, but the folder is {path.parent.name}"))
    elif manifest.name in found:
        other = found[manifest.name].path
        problems.append(Problem(*where, f"name: {manifest.name} is the system of {other} already; rename the folder"))
    elif is_data_only and manifest.family is None:
        problems.append(
            Problem(*where, "a system in the folder of further vendors is data alone; give family and interface")
        )
    else:
        found[manifest.name] = Found(manifest, document, path)


def quality_in(path: Path) -> Quality:
    """What a quality document says; `ManifestInvalid` with the places of what is wrong with it."""
    try:
        document = read_yaml(path)
        return Quality.model_validate(dict(document))
    except YamlInvalid as invalid:
        raise ManifestInvalid(list(invalid.problems)) from None
    except ValidationError as invalid:
        raise ManifestInvalid(problems_of(invalid, document, path=path, whole="quality")) from None


def problems_of(invalid: ValidationError, document: CommentedMap, *, path: Path, whole: str) -> list[Problem]:
    """What is wrong with a document, with its places; `whole` names the document where it is wrong as a whole."""
    return [
        Problem(
            *position_of(document, error["loc"], path=path),
            f"{'.'.join(str(part) for part in error['loc']) or whole}: {error['msg']}",
        )
        for error in invalid.errors(include_input=False, include_url=False)
    ]


def disagreements(found: Found, family: Family, interface: CommentedMap, interface_path: Path) -> list[Problem]:
    """Where the manifest promises what the interface does not hold, and the other way round."""
    described = family.entities()
    problems: list[Problem] = []
    for name, entity in found.manifest.entities.items():
        where = ("entities", name)
        if name not in described:
            text = f"entity {name}: {interface_path.name} does not describe it; add it there or leave it out here"
            problems.append(Problem(*position_of(found.document, where, path=found.path), text))
            continue
        for clause, text in _differences(described[name], key=entity.key, roles=entity.roles):
            place = position_of(found.document, (*where, clause), path=found.path)
            problems.append(Problem(*place, f"entity {name}: {text}"))
        needed = described[name].write_companions if "target" in entity.roles else ()
        if set(needed) != set(entity.write_companions):
            place = position_of(found.document, (*where, "write_companions"), path=found.path)
            wanted = f"[{', '.join(needed)}]"
            text = f"entity {name}: write_companions must be {wanted}, which {interface_path.name} asks for"
            problems.append(Problem(*place, text))
    for name in described:
        if name not in found.manifest.entities:
            place = position_of(interface, ("entities", name), path=interface_path)
            text = f"entity {name}: {found.path.name} does not name it; add it there or leave it out here"
            problems.append(Problem(*place, text))
    return problems


def _differences(described: FamilyEntity, *, key: str, roles: Sequence[Role]) -> list[tuple[str, str]]:
    differences: list[tuple[str, str]] = []
    if key not in described.columns:
        differences.append(("key", f"key {key} is not among its fields: {', '.join(described.columns)}"))
    if "target" in roles and not described.is_writable:
        differences.append(("roles", "role target, but the interface has no request that changes it"))
    if "target" in roles and "target_id" not in described.columns:
        differences.append(("roles", "role target, but no field target_id, which holds the other side's id"))
    return differences
