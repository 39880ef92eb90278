"""What is read from a county HR database: the views of `views.yaml`, every row, under the agreed names.

No county publishes its schema, so the shape is agreed instead: the county supplies the views, `check` reports what
they lack. It decides nothing about status, dates or scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select

from shared.ports.surroundings import Surroundings
from shared.ports.system import Column
from shared.ports.yaml_document import read_yaml
from shared.sql_reading import SqlEntity, SqlSource, Statements, TableNeed, Tables, open_engine
from systems.ocde_hr_sql.config import OcdeHrSqlConfig

VIEWS_FILE = Path(__file__).with_name("views.yaml")


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
    columns: dict[str, ViewColumn]


@cache
def agreed_views() -> dict[str, View]:
    """The view contract, by entity."""
    return {str(entity): View.model_validate(view) for entity, view in read_yaml(VIEWS_FILE).items()}


def build_source(config: OcdeHrSqlConfig, surroundings: Surroundings) -> SqlSource:
    """A source for one HR database."""
    password = surroundings.resolve(config.password) if config.password is not None else None
    names = config.views.model_dump()
    return SqlSource(
        [_entity(entity, view=view, view_name=names[entity]) for entity, view in agreed_views().items()],
        engine=open_engine(config, password=password),
        settings=config,
    )


def columns_of(entity: str) -> Sequence[Column]:
    """The columns of an entity; `KeyError` for one that there is not."""
    return tuple(
        Column(name, column.kind, is_required=not column.optional)
        for name, column in agreed_views()[entity].columns.items()
    )


def _entity(entity: str, *, view: View, view_name: str) -> SqlEntity:
    def build(tables: Tables) -> Statements:
        found = tables["view"]
        return Statements(
            rows=select(*(found.column(name).label(name) for name in view.columns)).order_by(
                *(found.column(name) for name in view.key)
            ),
            count=select(func.count()).select_from(found.table),
        )

    return SqlEntity(
        name=entity,
        columns=tuple(columns_of(entity)),
        key=view.key,
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
