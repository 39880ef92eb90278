"""For clients of addresses without TLS: httpx would load every authority of the machine for each of them."""

from __future__ import annotations

import ssl
from typing import Final

TRUSTS_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Enough for http:; an https: address is refused with it."""
