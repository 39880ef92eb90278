"""A simulated OneRoster provider, 1.1 and 1.2, and its CSV bundles; README.md states its rules."""
