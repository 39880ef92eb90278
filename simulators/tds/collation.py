"""SQL_Latin1_General_CP1_CI_AS as far as it matters: case and trailing blanks do not count, accents do.

Accented letters stand beside their plain ones in order, as on the server. Pure.
"""

import unicodedata
from functools import lru_cache
from typing import Final

COLLATION: Final = "sqlserver"
"""Its name in SQLite."""
COLLATION_NAME: Final = "SQL_Latin1_General_CP1_CI_AS"
COLLATION_BYTES: Final = bytes.fromhex("0904d00034")
"""Locale 1033, the flags and the sort id 52, as they go over the wire."""
KNOWN_COLLATIONS: Final = frozenset({COLLATION_NAME.lower(), "database_default", "catalog_default"})


def compare(left: str, right: str) -> int:
    """Order two texts: negative, zero or positive."""
    if left == right:
        return 0
    if left.isascii() and right.isascii():
        one, other = left.rstrip(" ").lower(), right.rstrip(" ").lower()
        return (one > other) - (one < other)
    key, against = _key(left), _key(right)
    return (key > against) - (key < against)


@lru_cache(maxsize=65_536)
def _key(text: str) -> tuple[str, str]:
    folded = unicodedata.normalize("NFD", text.rstrip(" ").casefold())
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    return plain, folded
