"""The composition tried on a real Docker engine: `make containers`. Not part of the suite."""
