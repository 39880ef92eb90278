"""Finding systems: by their manifest, never by importing them.

Reads `systems/<name>/manifest.yaml`, loads what it names and builds sources, targets and wires. The only place of the
house where a system's code is loaded; it knows no system by name. A folder of further vendors may hold systems of a
family, which are data alone: no code of it is ever loaded. It never sends anything: the first request goes out when a
reading is iterated, a record fetched, a write sent or `check` asked.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ValidationError

from shared.errors import NeedsPerson
from shared.ports.connections import Connection, Environment
from shared.ports.discovery import (
    MANIFEST_FILE,
    QUALITY_FILE,
    ManifestInvalid,
    disagreements,
    discover,
    problems_of,
    quality_in,
)
from shared.ports.family import Family, FamilyModule
from shared.ports.manifest import Manifest, Role
from shared.ports.metering import Meter
from shared.ports.pacing import Pacer
from shared.ports.quality import Quality, Tier, missing_for, tier_of
from shared.ports.surroundings import Surroundings
from shared.ports.wire import Wire
from shared.ports.yaml_document import YamlInvalid, read_yaml

if TYPE_CHECKING:  # the applier has no columnar engine, which the port's reading part needs at run time
    from shared.ports.system import Column, Source, Target


_TIER_NEEDED: Mapping[Role, Tier] = {"source": Tier.BRONZE, "target": Tier.GOLD}


def installed_systems_folder() -> Path:
    """The folder `systems/` that stands beside `shared/`."""
    return Path(__file__).resolve().parents[2] / "systems"


class Registry:
    """The systems in one folder, and in one of further vendors, by name."""

    def __init__(
        self,
        systems_folder: Path,
        *,
        vendors_folder: Path | None = None,
        surroundings: Surroundings | None = None,
        pacers: Callable[[Connection], Pacer] | None = None,
        meters: Callable[[Connection], Meter] | None = None,
        environment: Environment = "production",
    ) -> None:
        """Reads every manifest at once, so that a broken one shows at the start of a program.

        `systems_folder` is an importable package's folder; its name is the package's name. `vendors_folder` holds
        systems of families only. `pacers` gives the pacer of a connection that is opened, `meters` its meter; without
        them, every connection has those of the surroundings. `environment` is that of the house: the one of staging
        opens no connection to production.
        """
        self._folder = systems_folder.resolve()
        self._surroundings = surroundings or Surroundings()
        self._pacers = pacers
        self._meters = meters
        self._environment = environment
        self._found = discover(self._folder, vendors_folder.resolve() if vendors_folder is not None else None)
        self._families: dict[str, Family] = {}
        self._qualities: dict[str, Quality] = {}

    def names(self) -> list[str]:
        """The systems found, sorted."""
        return sorted(self._found)

    def manifest(self, name: str) -> Manifest:
        """What the system of that name says of itself; `NeedsPerson` (SRC_CONFIG) when there is none."""
        try:
            return self._found[name].manifest
        except KeyError:
            raise NeedsPerson(
                "SRC_CONFIG",
                f"system {name}: is not installed; there are: {', '.join(self.names()) or 'none'}",
                system=name,
            ) from None

    def quality(self, name: str) -> Quality:
        """The rules that the system of that name keeps; `ManifestInvalid` for a document that cannot be read.

        A system of a family that brings no document of its own keeps what the family keeps.
        """
        if name not in self._qualities:
            manifest = self.manifest(name)
            paths = [self._found[name].path.with_name(QUALITY_FILE)]
            if manifest.family is not None:
                paths.append(self._folder / manifest.family / QUALITY_FILE)
            self._qualities[name] = next((quality_in(path) for path in paths if path.is_file()), Quality())
        return self._qualities[name]

    def tier(self, name: str, *, role: Role) -> Tier:
        """How far the system of that name may be trusted in a role."""
        return tier_of(self.quality(name), self.manifest(name), role=role)

    def open_source(self, connection: Connection) -> Source:
        """A source for the connection; its secrets are read now.

        `NeedsPerson` with SRC_CONFIG names the connection and the setting, with SYS_SECRET the reference.
        """
        manifest = self._manifest_for(connection, role="source")
        config = self._config(manifest, connection, code="SRC_CONFIG")
        surroundings = self._surroundings_of(connection)
        if manifest.family is not None:
            return self._family(manifest).build_source(config, surroundings)
        return cast("Source", self._build(manifest, manifest.source, config, surroundings))

    def open_target(self, connection: Connection) -> Target:
        """A target for the connection, with the credential that may write; its secrets are read now.

        `NeedsPerson` with APL_CONFIG names the connection and the setting, with SYS_SECRET the reference.
        """
        manifest = self._manifest_for(connection, role="target")
        config = self._config(manifest, connection, code="APL_CONFIG")
        surroundings = self._surroundings_of(connection)
        if manifest.family is not None:
            return self._family(manifest).build_target(config, surroundings)
        return cast("Target", self._build(manifest, manifest.target, config, surroundings))

    def wire(self, system_name: str) -> Wire:
        """The pure encoder of the system's writes; needs no connection."""
        manifest = self.manifest(system_name)
        if "target" not in manifest.capabilities:
            raise NeedsPerson("APL_CONFIG", f"system {system_name}: cannot be written; choose another target")
        if manifest.family is not None:
            return self._family(manifest).build_wire()
        return cast(Wire, self._build(manifest, manifest.wire))

    def columns(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Names of the columns that the systems declare, by system and entity; for checking definitions."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for name in self.names():
            manifest = self.manifest(name)
            for entity in manifest.entities:
                found[name, entity] = tuple(column.name for column in self.columns_of(name, entity))
        return found

    def write_companions(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Columns that every change has to send along, by system and entity; for checking definitions."""
        return {
            (name, entity): companions
            for name in self.names()
            for entity in self.manifest(name).entities
            if (companions := self.write_companions_of(name, entity))
        }

    def write_companions_of(self, system_name: str, entity: str) -> tuple[str, ...]:
        """Columns of one entity that every change has to send along; none for an entity that the system has not."""
        described = self.manifest(system_name).entities.get(entity)
        return () if described is None else tuple(described.write_companions)

    def columns_of(self, system_name: str, entity: str) -> Sequence[Column]:
        """The columns that a system declares for one entity; `StopRun` for an entity that it does not have."""
        manifest = self.manifest(system_name)
        if manifest.family is not None:
            return self._family(manifest).columns_of(entity)
        return cast("Sequence[Column]", self._build(manifest, manifest.columns, entity))

    def check_settings(self, connection: Connection) -> None:
        """Raises what `open_source` would raise about system and settings, and reads no secret."""
        self._config(self.manifest(connection.system), connection, code="SRC_CONFIG")

    def _surroundings_of(self, connection: Connection) -> Surroundings:
        around = self._surroundings
        if self._pacers is not None:
            around = replace(around, pacer=self._pacers(connection))
        return around if self._meters is None else replace(around, meter=self._meters(connection))

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
        self._require_tier(manifest, connection, role=role)
        self._require_environment(connection)
        return manifest

    def _require_environment(self, connection: Connection) -> None:
        """Refuse production to a house that tries things out."""
        if self._environment == "staging" and connection.environment == "production":
            raise NeedsPerson(
                "SYS_ENVIRONMENT",
                f"connection {connection.name} is to production, and this house is of staging (AETHER_ENVIRONMENT); "
                "name a connection of staging",
                connection=connection.name,
            )

    def _require_tier(self, manifest: Manifest, connection: Connection, *, role: Role) -> None:
        """Refuse a system that the house may not let do this; see `shared.ports.quality`."""
        needed, reached = _TIER_NEEDED[role], self.tier(manifest.name, role=role)
        if reached >= needed:
            return
        missing = missing_for(needed, self.quality(manifest.name), manifest)
        raise NeedsPerson(
            "SRC_CONFIG" if role == "source" else "APL_CONFIG",
            f"connection {connection.name}: system {manifest.name} is of the tier {reached.title}, and a {role} must "
            f"be {needed.title}: {QUALITY_FILE} does not show {', '.join(missing)}",
            connection=connection.name,
            tier=reached.title,
        )

    def _config(self, manifest: Manifest, connection: Connection, *, code: str) -> BaseModel:
        if manifest.family is not None:
            model = self._family(manifest).settings()
        else:
            model = cast(type[BaseModel], self._load(manifest, cast(str, manifest.config)))
        try:
            return model.model_validate(connection.settings)
        except ValidationError as invalid:
            # The value stays out of the text: it may be a secret put where its reference belongs.
            lines = [
                f"connection {connection.name}: settings.{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
                for error in invalid.errors(include_input=False, include_url=False)
            ]
            raise NeedsPerson(code, "\n".join(lines), connection=connection.name, problems=len(lines)) from None

    def _family(self, manifest: Manifest) -> Family:
        """The system of a family; its interface document is read once."""
        if (known := self._families.get(manifest.name)) is not None:
            return known
        found = self._found[manifest.name]
        path = found.path.with_name(cast(str, manifest.interface))
        entry = f"{manifest.family}.family"
        family_of = cast(FamilyModule, self._module(manifest, entry, entry)).family_of
        try:
            document = read_yaml(path)
        except YamlInvalid as invalid:
            raise ManifestInvalid(list(invalid.problems)) from None
        try:
            family = family_of(document, name=manifest.name)
        except ValidationError as invalid:
            raise ManifestInvalid(problems_of(invalid, document, path=path, whole="interface")) from None
        if problems := disagreements(found, family, document, path):
            raise ManifestInvalid(problems)
        self._families[manifest.name] = family
        return family

    def _build(self, manifest: Manifest, entry: str | None, *arguments: object) -> object:
        assert entry is not None, "the manifest's validator pairs capabilities with entries"  # noqa: S101 - own invariant
        builder = self._load(manifest, entry)
        if not callable(builder):
            raise self._broken(manifest, entry, "is not callable")
        return builder(*arguments)

    def _load(self, manifest: Manifest, entry: str) -> object:
        module_name, _, attribute = entry.partition(":")
        module = self._module(manifest, f"{manifest.name}.{module_name}", entry)
        try:
            return cast(object, getattr(module, attribute))
        except AttributeError:
            raise self._broken(manifest, entry, f"module {module_name} has no {attribute}") from None

    def _module(self, manifest: Manifest, name: str, entry: str) -> object:
        """The module of that name in the systems' package; `entry` is what the manifest calls it."""
        try:
            module = importlib.import_module(f"{self._folder.name}.{name}")
        except ModuleNotFoundError as missing:
            raise self._broken(manifest, entry, f"module {missing.name} is missing") from missing
        expected = self._folder.joinpath(*name.split(".")).with_suffix(".py")
        if module.__file__ is None or Path(module.__file__).resolve() != expected:
            # Two packages of one name on the path: what would run is not what the manifest describes.
            raise self._broken(manifest, entry, f"is loaded from {module.__file__}, not from {expected}")
        return module

    def _broken(self, manifest: Manifest, entry: str, reason: str) -> NeedsPerson:
        return NeedsPerson(
            "SRC_CONFIG",
            f"system {manifest.name}: {entry} in {MANIFEST_FILE} {reason}; correct the manifest or install what misses",
            system=manifest.name,
        )
