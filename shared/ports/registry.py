"""Finding systems: by their manifest, never by importing them.

Reads `systems/<name>/manifest.yaml`, loads what it names and builds sources, targets and wires. The only place of the
house where a system's code is loaded; it knows no system by name. It never sends anything: the first request goes out
when a reading is iterated, a record fetched, a write sent or `check` asked.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ValidationError

from shared.errors import NeedsPerson
from shared.ports.connections import Connection
from shared.ports.manifest import Manifest, Role
from shared.ports.pacing import Pacer
from shared.ports.surroundings import Surroundings
from shared.ports.wire import Wire
from shared.ports.yaml_document import Problem, YamlInvalid, position_of, read_yaml

if TYPE_CHECKING:  # the applier has no columnar engine, which the port's reading part needs at run time
    from collections.abc import Sequence

    from shared.ports.system import Column, Source, Target

MANIFEST_FILE = "manifest.yaml"
SYSTEMS_MAX = 200
"""More folders than this are not ours."""


class ManifestInvalid(NeedsPerson):
    """A system's manifest cannot be used; `problems` names every place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("SRC_CONFIG", "\n".join(str(problem) for problem in problems), problems=len(problems))


def installed_systems_folder() -> Path:
    """The folder `systems/` that stands beside `shared/`."""
    return Path(__file__).resolve().parents[2] / "systems"


class Registry:
    """The systems in one folder, by name."""

    def __init__(
        self,
        systems_folder: Path,
        *,
        surroundings: Surroundings | None = None,
        pacers: Callable[[Connection], Pacer] | None = None,
    ) -> None:
        """Reads every manifest of the folder at once, so that a broken one shows at the start of a program.

        `systems_folder` is an importable package's folder; its name is the package's name. `pacers` gives the pacer of
        a connection that is opened; without it, every connection has that of the surroundings.
        """
        self._folder = systems_folder.resolve()
        self._surroundings = surroundings or Surroundings()
        self._pacers = pacers
        self._manifests = _discover(self._folder)

    def names(self) -> list[str]:
        """The systems found, sorted."""
        return sorted(self._manifests)

    def manifest(self, name: str) -> Manifest:
        """What the system of that name says of itself; `NeedsPerson` (SRC_CONFIG) when there is none."""
        try:
            return self._manifests[name]
        except KeyError:
            raise NeedsPerson(
                "SRC_CONFIG",
                f"system {name}: is not installed; there are: {', '.join(self.names()) or 'none'}",
                system=name,
            ) from None

    def open_source(self, connection: Connection) -> Source:
        """A source for the connection; its secrets are read now.

        `NeedsPerson` with SRC_CONFIG names the connection and the setting, with SYS_SECRET the reference.
        """
        manifest = self._manifest_for(connection, role="source")
        config = self._config(manifest, connection, code="SRC_CONFIG")
        return cast("Source", self._build(manifest, manifest.source, config, self._surroundings_of(connection)))

    def open_target(self, connection: Connection) -> Target:
        """A target for the connection, with the credential that may write; its secrets are read now.

        `NeedsPerson` with APL_CONFIG names the connection and the setting, with SYS_SECRET the reference.
        """
        manifest = self._manifest_for(connection, role="target")
        config = self._config(manifest, connection, code="APL_CONFIG")
        return cast("Target", self._build(manifest, manifest.target, config, self._surroundings_of(connection)))

    def wire(self, system_name: str) -> Wire:
        """The pure encoder of the system's writes; needs no connection."""
        manifest = self.manifest(system_name)
        if manifest.wire is None:
            raise NeedsPerson("APL_CONFIG", f"system {system_name}: cannot be written; choose another target")
        return cast(Wire, self._build(manifest, manifest.wire))

    def columns(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Names of the columns that the systems declare, by system and entity; for checking definitions."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for name in self.names():
            manifest = self.manifest(name)
            for entity in manifest.entities:
                declared = cast("Sequence[Column]", self._build(manifest, manifest.columns, entity))
                found[name, entity] = tuple(column.name for column in declared)
        return found

    def check_settings(self, connection: Connection) -> None:
        """Raises what `open_source` would raise about system and settings, and reads no secret."""
        self._config(self.manifest(connection.system), connection, code="SRC_CONFIG")

    def _surroundings_of(self, connection: Connection) -> Surroundings:
        if self._pacers is None:
            return self._surroundings
        return replace(self._surroundings, pacer=self._pacers(connection))

    def _manifest_for(self, connection: Connection, *, role: Role) -> Manifest:
        manifest = self.manifest(connection.system)
        if role not in manifest.capabilities:
            code = "SRC_CONFIG" if role == "source" else "APL_CONFIG"
            raise NeedsPerson(
                code,
                f"connection {connection.name}: system {manifest.name} cannot be a {role}; "
                f"it can be: {', '.join(manifest.capabilities)}",
                connection=connection.name,
            )
        return manifest

    def _config(self, manifest: Manifest, connection: Connection, *, code: str) -> BaseModel:
        model = cast(type[BaseModel], self._load(manifest, manifest.config))
        try:
            return model.model_validate(connection.settings)
        except ValidationError as invalid:
            # The value stays out of the text: it may be a secret put where its reference belongs.
            lines = [
                f"connection {connection.name}: settings.{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
                for error in invalid.errors(include_input=False, include_url=False)
            ]
            raise NeedsPerson(code, "\n".join(lines), connection=connection.name, problems=len(lines)) from None

    def _build(self, manifest: Manifest, entry: str | None, *arguments: object) -> object:
        assert entry is not None, "the manifest's validator pairs capabilities with entries"  # noqa: S101 - own invariant
        builder = self._load(manifest, entry)
        if not callable(builder):
            raise self._broken(manifest, entry, "is not callable")
        return builder(*arguments)

    def _load(self, manifest: Manifest, entry: str) -> object:
        module_name, _, attribute = entry.partition(":")
        full_name = f"{self._folder.name}.{manifest.name}.{module_name}"
        try:
            module = importlib.import_module(full_name)
        except ModuleNotFoundError as missing:
            raise self._broken(manifest, entry, f"module {missing.name} is missing") from missing
        expected = self._folder / manifest.name / f"{module_name}.py"
        if module.__file__ is None or Path(module.__file__).resolve() != expected:
            # Two packages of one name on the path: what would run is not what the manifest describes.
            raise self._broken(manifest, entry, f"is loaded from {module.__file__}, not from {expected}")
        try:
            return cast(object, getattr(module, attribute))
        except AttributeError:
            raise self._broken(manifest, entry, f"module {full_name} has no {attribute}") from None

    def _broken(self, manifest: Manifest, entry: str, reason: str) -> NeedsPerson:
        return NeedsPerson(
            "SRC_CONFIG",
            f"system {manifest.name}: {entry} in {MANIFEST_FILE} {reason}; correct the manifest or install what misses",
            system=manifest.name,
        )


def _discover(folder: Path) -> dict[str, Manifest]:
    try:
        paths = sorted(folder.glob(f"*/{MANIFEST_FILE}"))
    except OSError as problem:
        raise NeedsPerson("SRC_CONFIG", f"{folder}: cannot be read: {problem.strerror}; check the path") from None
    if not folder.is_dir():
        raise NeedsPerson("SRC_CONFIG", f"{folder}: is no folder; give the folder that holds the systems")
    if len(paths) > SYSTEMS_MAX:
        raise NeedsPerson("SRC_CONFIG", f"{folder}: {len(paths)} systems, allowed {SYSTEMS_MAX}; check the path")
    manifests: dict[str, Manifest] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            document = read_yaml(path)
        except YamlInvalid as invalid:
            problems.extend(invalid.problems)
            continue
        try:
            manifest = Manifest.model_validate(dict(document))
        except ValidationError as invalid:
            problems.extend(
                Problem(
                    *position_of(document, error["loc"], path=path),
                    f"{'.'.join(str(part) for part in error['loc']) or 'manifest'}: {error['msg']}",
                )
                for error in invalid.errors(include_input=False, include_url=False)
            )
            continue
        if manifest.name != path.parent.name:
            where = position_of(document, ("name",), path=path)
            problems.append(Problem(*where, f"name: is {manifest.name}, but the folder is {path.parent.name}"))
            continue
        manifests[manifest.name] = manifest
    if problems:
        raise ManifestInvalid(problems)
    return manifests
