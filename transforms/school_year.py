"""A school year in its one spelling, `2026-2027`, from the ways in which clerks and systems write it.

Two-digit years are of this century. A single year is refused: it may be the first of the two or the second.
"""

from __future__ import annotations

import re

VERSION = 1
EXAMPLES: tuple[tuple[str, str | None], ...] = (
    ("2026-2027", "2026-2027"),
    ("2026-27", "2026-2027"),
    ("26/27", "2026-2027"),
    ("SY 2026 \u2013 2027", "2026-2027"),
    ("1999-00", "1999-2000"),
    ("n/a", None),
    (" ", None),
)
_SPELLING = re.compile(r"(?:sy\s*)?(\d{4}|\d{2})\s*[-/\u2013]\s*(\d{4}|\d{2})", re.ASCII | re.IGNORECASE)
_NO_YEAR = frozenset({"", "-", "n/a", "none"})


def transform(text: str) -> str | None:
    """The school year; None where the text says that there is none."""
    stripped = text.strip()
    if stripped.lower() in _NO_YEAR:
        return None
    found = _SPELLING.fullmatch(stripped)
    if found is None:
        raise ValueError("this is no school year of the form 2026-2027")
    first, second = found.groups()
    begins = int(first) if len(first) == 4 else 2000 + int(first)
    ends = int(second) if len(second) == 4 else (begins + 1) // 100 * 100 + int(second)
    if ends != begins + 1:
        raise ValueError("the two years of a school year follow each other")
    return f"{begins:04}-{ends:04}"
