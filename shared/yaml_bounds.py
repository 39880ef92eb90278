"""How deep a YAML text may nest before anybody parses it.

The parser of YAML takes time by the square of the brackets that stand open: a file of a few kilobytes could keep it
busy for minutes. This looks at signs only, so that it costs nothing; how deep a document may mean to be is for its
reader. Pure.
"""

from __future__ import annotations

import re
from typing import Final

BRACKETS_OPEN_MAX: Final = 100
"""Brackets that may stand open at once, those inside of quotes included: far above what any document of ours needs."""
_BRACKET: Final = re.compile(r"[\[\]{}]")


def too_deep_at(text: str) -> tuple[int, int] | None:
    """Line and column, from 1, of the bracket that is one too many; None when there is none."""
    is_open = 0
    for bracket in _BRACKET.finditer(text):
        # A closing bracket too many is for the parser to tell.
        is_open = is_open + 1 if bracket[0] in "[{" else max(is_open - 1, 0)
        if is_open > BRACKETS_OPEN_MAX:
            before = text[: bracket.start()]
            return before.count("\n") + 1, bracket.start() - before.rfind("\n")
    return None
