"""Speaking HTTP with outside systems: sending, proving who asks, reading lists whole; knows no vendor.

The names of this package are loaded when they are first asked for: what reads and writes records purely must not pay
for the network, nor need it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from shared.http.exchange import Exchange, Received
    from shared.http.settings import HttpSettings, WebAddress
    from shared.http.shape import Json, WrongShape, at

__all__ = ["Exchange", "HttpSettings", "Json", "Received", "WebAddress", "WrongShape", "at"]

_HOMES: Final = {
    "Exchange": "exchange",
    "Received": "exchange",
    "HttpSettings": "settings",
    "WebAddress": "settings",
    "Json": "shape",
    "WrongShape": "shape",
    "at": "shape",
}


def __getattr__(name: str) -> Any:
    """The named part, from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
