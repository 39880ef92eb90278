"""Reading SQL databases whole, in pages, with a proof that nothing is missing; knows no vendor and no table.

What needs the columnar engine (`reading`, `source`, `cells`) is imported from its own module, so that the rest can be
had without it.
"""

from shared.sql_reading.engine import open_engine
from shared.sql_reading.settings import SqlSettings
from shared.sql_reading.shape import FoundTable, SqlEntity, Statements, TableNeed, Tables

__all__ = [
    "FoundTable",
    "SqlEntity",
    "SqlSettings",
    "Statements",
    "TableNeed",
    "Tables",
    "open_engine",
]
