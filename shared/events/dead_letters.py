"""The form of a dead letter: what its headers are called and how long its reason may be.

`shared.bus.delivery` writes them, the auditor reads them. Pure.
"""

from __future__ import annotations

from typing import Final

HEADER_PREFIX: Final = "Aether-Dead-"
"""Before the name of every header that we add to the message that died."""
REASON_CHARACTERS_MAX: Final = 500
