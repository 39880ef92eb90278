"""The entities of a county HR database: the views of `views.yaml`, every row, under the agreed names.

No county publishes its schema, so the shape is agreed instead. Two columns are made here: `people.status`, the meaning
of the status code, and `assignments.assignment_id`, for nothing else tells one assignment from another. It decides
nothing about dates or scope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, case, func, select

from shared.ports.system import Column
from shared.ports.yaml_document import read_yaml
from shared.sql_reading import SqlEntity, Statements, TableNeed, Tables
from systems.ocde_hr_sql.config import STATUS_CODES

VIEWS_FILE = Path(__file__).with_name("views.yaml")
UNKNOWN_STATUS = "unknown"
_STATUS = Column("status", "text")


class ViewColumn(BaseModel):
    """One column of an agreed view."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["text", "integer", "decimal", "boolean", "date", "datetime"]
    optional: bool = False
    """Whether the county may leave it out; it is read as null then."""


class View(BaseModel):
    """One agreed view."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: tuple[str, ...] = Field(min_length=1)
    """Columns that order its rows."""
    joined_key: str | None = None
    """The column made of the key's columns, where several of them tell rows apart."""
    columns: dict[str, ViewColumn]


@cache
def agreed_views() -> dict[str, View]:
    """The view contract, by entity."""
    return {str(entity): View.model_validate(view) for entity, view in read_yaml(VIEWS_FILE).items()}


def columns_of(entity: str) -> Sequence[Column]:
    """The columns of an entity; `KeyError` for one that there is not."""
    view = agreed_views()[entity]
    return (
        *((Column(view.joined_key, "text"),) if view.joined_key is not None else ()),
        *(Column(name, column.kind, is_required=not column.optional) for name, column in view.columns.items()),
        *((_STATUS,) if entity == "people" else ()),
    )


def entities(view_names: Mapping[str, str], status_codes: Mapping[str, str] = STATUS_CODES) -> list[SqlEntity]:
    """All of them, read from views of these names."""
    return [
        _entity(entity, view=view, view_name=view_names[entity], status_codes=status_codes)
        for entity, view in agreed_views().items()
    ]


def spelled(code: ColumnElement[Any]) -> ColumnElement[Any]:
    """A code without blanks around it, in capitals; as the settings spell it."""
    return func.upper(func.ltrim(func.rtrim(code)))


def _entity(entity: str, *, view: View, view_name: str, status_codes: Mapping[str, str]) -> SqlEntity:
    def build(tables: Tables) -> Statements:
        found = tables["view"]
        selected = [found.column(name).label(name) for name in view.columns]
        if entity == "people":
            code = spelled(found.column("status_code"))
            meanings = [(code == each, meaning) for each, meaning in status_codes.items()]
            selected.append(case(*meanings, else_=UNKNOWN_STATUS).label(_STATUS.name))
        return Statements(
            rows=select(*selected).select_from(found.table).order_by(*(found.column(name) for name in view.key)),
            count=select(func.count()).select_from(found.table),
        )

    return SqlEntity(
        name=entity,
        columns=tuple(columns_of(entity)),
        key=view.key,
        joined={view.joined_key: view.key} if view.joined_key is not None else {},
        needs=(
            TableNeed(
                "view",
                view_name,
                required=tuple(name for name, column in view.columns.items() if not column.optional),
                optional=tuple(name for name, column in view.columns.items() if column.optional),
            ),
        ),
        build=build,
    )
