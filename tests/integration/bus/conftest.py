"""The real bus for these tests."""

from tests.support.bus import bus, bus_server, own_bus

__all__ = ["bus", "bus_server", "own_bus"]
