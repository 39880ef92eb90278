"""Canonical records: how they are cut into messages of the bus, and what proves that they are all there."""
