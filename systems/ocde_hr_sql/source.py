"""Opens a county HR database as a source. It decides nothing: what is read stands in `entities` and `views.yaml`."""

from __future__ import annotations

from shared.ports.surroundings import Surroundings
from shared.sql_reading import open_engine
from shared.sql_reading.source import SqlSource
from systems.ocde_hr_sql.config import OcdeHrSqlConfig
from systems.ocde_hr_sql.entities import entities
from systems.ocde_hr_sql.report import report_of


def build_source(config: OcdeHrSqlConfig, surroundings: Surroundings) -> SqlSource:
    """A source for one HR database."""
    password = surroundings.resolve(config.password) if config.password is not None else None
    return SqlSource(
        entities(config.views.model_dump(), config.status_codes),
        engine=open_engine(config, password=password),
        settings=config,
        surroundings=surroundings,
        report=report_of(config),
    )
