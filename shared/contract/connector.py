"""A connector as a value: its definition with everything it names, and the digest over the meaning of all of it.

Pure. Files are read by `shared.contract.loading` and `shared.contract.releases`; whether the parts fit together is for
`shared.contract.checking`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.contract.model import ConnectorDefinition
from shared.contract.protected import ProtectedRecords, Protection
from shared.contract.tables import MappingTable
from shared.contract.transforms import Transform
from shared.hashing.canonical import digest_of


@dataclass(frozen=True)
class Connector:
    """A connector as loaded."""

    definition: ConnectorDefinition
    tables: Mapping[str, MappingTable]
    """The mapping tables of its folder, by name."""
    digest: str
    """`release_digest` of all the rest."""
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    """The registered transforms that the definition names, by name."""
    protected: ProtectedRecords = field(default_factory=dict)
    """The records that are never changed, by entity."""
    is_published: bool = False
    """Whether a release of this version and digest is stored beside the definition."""

    def protection(self, entity: str) -> Protection:
        """What is protected among the target's records of that entity."""
        return Protection(self.protected.get(entity, ()), tables=self.tables, transforms=self.transforms)


def release_digest(
    definition: ConnectorDefinition,
    tables: Mapping[str, MappingTable],
    *,
    transforms: Mapping[str, Transform] | None = None,
    protected: ProtectedRecords | None = None,
) -> str:
    """`sha256:…` over the meaning of a release: definition without what equals its default, tables, transforms, list.

    Comments, layout, the order of a table's lines and its remarks do not count, nor does `lifecycle`: a release that is
    retired is still the same. The order of fields does count, because it is the order of a snapshot's columns.
    """
    content = written(definition)
    del content["lifecycle"]
    for contract in content["entities"].values():
        contract["fields"] = [[name, clause] for name, clause in contract["fields"].items()]
    return digest_of(
        {
            "definition": content,
            "tables": {name: dict(table.entries) for name, table in tables.items()},
            "transforms": {name: transform.sha256 for name, transform in (transforms or {}).items()},
            "protected": written_protected(protected or {}),
        }
    )


def written(definition: ConnectorDefinition) -> dict[str, Any]:
    """The definition as JSON values, by the names of the language, without what equals its default."""
    return definition.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def written_protected(protected: ProtectedRecords) -> dict[str, Any]:
    """The list of protected records as JSON values, without entities that have none."""
    return {
        entity: [record.model_dump(mode="json", by_alias=True, exclude_defaults=True) for record in records]
        for entity, records in protected.items()
        if records
    }
