"""The columns of an entity, from the interface document alone."""

from __future__ import annotations

from collections.abc import Sequence

from shared.ports.system import Column
from systems.http.description import HttpInterface
from systems.http.wire import entity_of


def columns_of(http: HttpInterface, entity: str, *, system: str) -> Sequence[Column]:
    """The columns of an entity; `StopRun` for one that the description does not hold."""
    fields = entity_of(http, entity, system=system).fields
    return tuple(Column(name, field.kind, is_required=not field.optional) for name, field in fields.items())
