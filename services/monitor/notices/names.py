"""What of the log may be repeated to people: names of our own form and codes of the catalogue, and nothing else.

Pure.
"""

from __future__ import annotations

import re
from typing import Final

from shared.failures import CATALOGUE

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


def known_name(text: object) -> str | None:
    """A text that can be the name or the id of something of ours."""
    return text if isinstance(text, str) and _NAME.fullmatch(text) else None


def known_code(code: object) -> str | None:
    """A code that the catalogue holds."""
    return code if isinstance(code, str) and code in CATALOGUE else None
