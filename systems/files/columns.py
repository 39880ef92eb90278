"""The columns of an entity, from the interface document alone."""

from __future__ import annotations

from collections.abc import Sequence

from shared.ports.system import Column
from systems.files.description import TARGET_ID, FilesInterface
from systems.files.wire import entity_of


def columns_of(files: FilesInterface, entity: str) -> Sequence[Column]:
    """The columns of an entity; `StopRun` for one that the document does not hold."""
    described = entity_of(files, entity, code="SRC_CONFIG")
    return tuple(
        Column(
            name,
            "text" if name == TARGET_ID else described.fields[name].kind,
            is_required=not _may_miss(described.fields.get(name)),
        )
        for name in described.columns
    )


def _may_miss(field: object) -> bool:
    return bool(getattr(field, "optional", False))
