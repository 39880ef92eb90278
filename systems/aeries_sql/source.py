"""Opens an Aeries database as a source. It decides nothing: what is read stands in `people` and `classes`."""

from __future__ import annotations

from shared.ports.surroundings import Surroundings
from shared.sql_reading import open_engine
from shared.sql_reading.source import SqlSource
from systems.aeries_sql.config import AeriesSqlConfig
from systems.aeries_sql.entities import entities
from systems.aeries_sql.year import year_check


def build_source(config: AeriesSqlConfig, surroundings: Surroundings) -> SqlSource:
    """A source for one Aeries database."""
    password = surroundings.resolve(config.password) if config.password is not None else None
    return SqlSource(
        entities(config.pseudo_schools),
        engine=open_engine(config, password=password),
        settings=config,
        surroundings=surroundings,
        preflight=year_check(config),
    )
