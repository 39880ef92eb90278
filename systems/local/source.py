"""Opens the local tables for reading, with a login and a connection that cannot write."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from shared.ports.surroundings import Surroundings
from shared.secrets import Secret
from shared.sql_reading import open_engine
from shared.sql_reading.source import SqlSource
from systems.local.config import LocalConfig
from systems.local.entities import entities
from systems.local.layout import create_missing
from systems.local.opening import open_for_writing


def build_source(config: LocalConfig, surroundings: Surroundings) -> SqlSource:
    """A source for the district's tables."""
    password = surroundings.resolve(config.password) if config.password is not None else None
    return source_with(config, surroundings, password=password)


def source_with(config: LocalConfig, surroundings: Surroundings, *, password: Secret | None) -> SqlSource:
    """A source whose password has been read already."""
    return SqlSource(
        entities(config.table_prefix),
        engine=open_engine(config, password=password),
        settings=config,
        surroundings=surroundings,
        prepare=_creating(config, password) if config.create_tables else None,
    )


def _creating(config: LocalConfig, password: Secret | None) -> Callable[[], None]:
    def prepare() -> None:
        engine: Engine = open_for_writing(config, url=config.url, password=password)
        try:
            create_missing(engine, config)
        finally:
            engine.dispose()

    return prepare
