"""Reading SQL databases whole, in pages, from one unchanging state; knows no vendor and no table."""

from shared.sql_reading.engine import open_engine
from shared.sql_reading.reading import SqlEntity, SqlReading
from shared.sql_reading.settings import SqlSettings
from shared.sql_reading.shape import FoundTable, Statements, TableNeed, Tables
from shared.sql_reading.source import SqlSource

__all__ = [
    "FoundTable",
    "SqlEntity",
    "SqlReading",
    "SqlSettings",
    "SqlSource",
    "Statements",
    "TableNeed",
    "Tables",
    "open_engine",
]
